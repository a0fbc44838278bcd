# The image for whoever wants `docker build`: what `make image` put together, and nothing from outside.
#
#	make image && docker build -t sidestep .
#
# `make image` itself needs no Docker and writes the same image to build/image/sidestep.tar.
FROM scratch
ARG ROOTFS=build/image/rootfs
COPY ${ROOTFS}/ /
LABEL dev.sidestep.role=sidecar \
      org.opencontainers.image.title=sidestep
ENTRYPOINT ["/usr/bin/sidestep"]
