# Builds the container image from the files that `make image` collects, for users of `docker build`:
#
#	make image && docker build -t sidestep .
#
# `make image` alone writes the same image to build/image/sidestep.tar, without Docker.
FROM scratch
ARG ROOTFS=build/image/rootfs
COPY ${ROOTFS}/ /
LABEL dev.sidestep.role=sidecar \
      org.opencontainers.image.title=sidestep
# The sidecar's. A gateway or an agent runs with --no-healthcheck.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=2 CMD ["/usr/bin/sidestep", "ready"]
ENTRYPOINT ["/usr/bin/sidestep"]
