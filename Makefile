# SPDX-License-Identifier: Apache-2.0
# Builds and tests Sidestep; `make help` lists the targets. All output goes below build/.

BUILD  ?= build
JOBS   ?= $(shell nproc)
ifeq ($(origin CC),default)
CC     := gcc
endif
CLANG  ?= clang
BPFTOOL ?= $(shell tests/deps.sh bpftool 2>/dev/null || echo bpftool)
ARCH   := $(shell uname -m | sed -e s/x86_64/x86/ -e s/aarch64/arm64/)

# SANITIZE=1 builds into a folder of its own with ASan and UBSan.
ifdef SANITIZE
BUILD   := $(BUILD)/sanitize
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

VERSION := $(shell cat VERSION)
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
	   -Wundef -Wpointer-arith -Wwrite-strings
CPPFLAGS += -D_GNU_SOURCE -DSIDESTEP_VERSION='"$(VERSION)"' -Iuser -Iinclude -I$(BUILD) \
	    -isystem /usr/share/include/llhttp -isystem /usr/share/include
SECTIONS := -ffunction-sections -fdata-sections

# tests/hardening.sh finds these in the program. glibc fortifies optimized code only, and the last -O counts.
# The sanitizers check the same calls themselves.
OPTIMIZED := $(filter-out -O0,$(lastword -O0 $(filter -O%,$(CFLAGS))))
HARDENING := -fstack-protector-strong -fPIE
HARDENING += $(if $(filter x86,$(ARCH)),-fcf-protection=full)
HARDENING += $(if $(filter arm64,$(ARCH)),-mbranch-protection=standard)
HARDENING += -U_FORTIFY_SOURCE $(if $(SANITIZE),,$(if $(OPTIMIZED),-D_FORTIFY_SOURCE=3))
# The folder of the build is not part of what is built.
REPRODUCIBLE := -ffile-prefix-map=$(CURDIR)=.
ALL_CFLAGS := -std=gnu11 $(REPRODUCIBLE) $(WARN) $(SECTIONS) $(HARDENING) $(CFLAGS) $(SANFLAGS) -pthread
LDFLAGS += -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--as-needed

BPF_SOURCES  := $(wildcard bpf/*.bpf.c)
SKELETONS    := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/%.skel.h)
USER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/*/*.c))
MAIN_OBJECT  := $(BUILD)/user/main.o
VERSION_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(shell grep -ls SIDESTEP_VERSION user/*.c user/*/*.c))
# Debian 12 packages llhttp as C sources (node-llhttp), newer releases as a library (libllhttp-dev).
LLHTTP_SOURCES := $(wildcard /usr/share/llhttp/*.c)
LLHTTP_OBJECTS := $(LLHTTP_SOURCES:/usr/share/llhttp/%.c=$(BUILD)/llhttp/%.o)
UNIT_TESTS   := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
UNIT_SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/unit/support/*.c))

# V=1 shows the commands.
ifneq ($(V),1)
.SILENT:
endif

.DEFAULT_GOAL := all
.PRECIOUS: $(BUILD)/%.bpf.o
.PHONY: all
all: $(BUILD)/sidestep

# -mcpu=v2: registers are spilled by 8 bytes. Before Linux 6.8 and without CAP_PERFMON, the verifier rejects a
# spill of 4 bytes beside another one.
$(BUILD)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/*.h) vmlinux.h
	@mkdir -p $(@D)
	$(CLANG) -target bpf $(REPRODUCIBLE) -D__TARGET_ARCH_$(ARCH) -O2 -g -mcpu=v2 -Wall -Wextra -Werror \
		-Wno-missing-declarations -Iinclude -Ibpf -I. -c $< -o $@

# It includes the other one.
$(BUILD)/shared.bpf.o: bpf/sidestep.bpf.c

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@.tmp
	mv $@.tmp $@

# Only programs/ includes the skeletons.
$(patsubst %.c,$(BUILD)/%.o,$(wildcard user/programs/*.c)): $(SKELETONS)

$(VERSION_OBJECTS): VERSION

# `sidestep version` prints the commit, and the libraries' versions from their pkg-config files. A header that would
# not change keeps its time, and another make may run beside this one.
# That of ncurses gives the version in a variable.
PC_VERSION := /^[a-z_]*=/ { split($$0, part, "="); value["$${" part[1] "}"] = part[2] } \
	sub(/^Version: */, "") { print($$0 in value ? value[$$0] : $$0) }
COMMIT := $(shell [ ! -e .git ] || git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
$(BUILD)/lib/built.h: FORCE
	@mkdir -p $(@D)
	libraries=; \
	for name in $(filter-out llhttp,$(LIBRARIES)) archive mnl; do \
		for package in lib$$name $$name $${name}lib; do \
			file=$$($(CC) -print-file-name=pkgconfig/$$package.pc); \
			[ ! -e "$$file" ] || libraries="$$libraries$$package $$(awk '$(PC_VERSION)' "$$file"), "; \
		done; \
	done; \
	printf '#define SIDESTEP_COMMIT "%s"\n#define SIDESTEP_LIBRARIES "%s"\n' "$(COMMIT)" "$$libraries" > $@.$$$$ && \
	if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi
$(BUILD)/user/lib/version.o: $(BUILD)/lib/built.h
.PHONY: FORCE
FORCE:

# The names of the architecture's system calls, for a message.
$(BUILD)/lib/system_calls.h: Makefile
	@mkdir -p $(@D)
	echo '#include <asm/unistd.h>' | $(CC) $(CPPFLAGS) -E -dM - > $@.macros
	sed -n 's/^#define \(__NR_\(\w*\)\) .*/[\1] = "\2",/p' $@.macros | \
		grep -vE '"(syscalls|arch_specific_syscall)"' > $@
$(BUILD)/user/lib/sandbox_trap.o: $(BUILD)/lib/system_calls.h

# The flags are the Makefile's.
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# llhttp 9 is always strict unless a parser is told otherwise; llhttp 8 wants the macro.
$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DLLHTTP_STRICT_MODE=1 -std=gnu11 $(REPRODUCIBLE) $(SECTIONS) $(HARDENING) $(CFLAGS) $(SANFLAGS) -c $< -o $@

$(BUILD)/libsidestep.a: $(USER_OBJECTS) $(LLHTTP_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

# Writes the libraries to link with into a file for the compiler. A library stands behind those that need it.
# An archive is taken if all of it links, because shared libraries make each start slower and take more memory
# than the program itself (docs/PERFORMANCE.md). Of libarchive only the parts that write a tar archive link so, and
# only they are used.
LIBRARIES := zstd z tinfo ncursesw jansson cap seccomp crypto ssl elf bpf nftnl $(if $(LLHTTP_SOURCES),,llhttp)
$(BUILD)/libraries: Makefile | $(BUILD)/libsidestep.a
	links() { echo 'int main(void) { return 0; }' | $(CC) -fPIE -pie -x c - -o $@.try "$$@" 2>/dev/null; }; \
	behind=-lmnl; \
	for name in $(LIBRARIES); do \
		if links -Wl,--whole-archive -l:lib$$name.a -Wl,--no-whole-archive $$behind; then \
			behind="-l:lib$$name.a $$behind"; \
		elif links -l$$name $$behind; then behind="-l$$name $$behind"; \
		else echo "lib$$name is missing; run: make deps" >&2; exit 1; fi; \
	done; \
	links -l:libarchive.a $$behind || { echo "libarchive is missing; run: make deps" >&2; exit 1; }; \
	rm -f $@.try; \
	echo "-l:libarchive.a $$behind" > $@

LINK = $(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter %.o %.a,$^)
$(BUILD)/sidestep: $(MAIN_OBJECT) $(BUILD)/libsidestep.a $(BUILD)/libraries
	$(LINK) -pie @$(BUILD)/libraries -o $@

# Libraries of single unit tests: the oracles for the DNS codec and for nftables.
LIBS_test_dns_message := -lldns
LIBS_test_dns_ech := -lldns
LIBS_test_destination := -lnftables
LIBS_test_dns_addresses := -lldns
LIBS_test_nft := -lnftables
LIBS_test_nft_rules := -lnftables

# Unit tests share scripted peers and beds.
$(UNIT_SUPPORT) $(UNIT_TESTS): private CPPFLAGS += -Itests/unit -Ibpf
$(BUILD)/tests/support.a: $(UNIT_SUPPORT)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/tests/support.a $(BUILD)/libsidestep.a $(BUILD)/libraries
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP $< $(filter %.a,$^) $(LDFLAGS) -pie @$(BUILD)/libraries $(LIBS_$*) \
		-lcmocka -o $@

IMAGE_ARCH ?= $(shell dpkg --print-architecture)
.PHONY: image image-tree
image:
	tests/deps.sh build image
	image/make.sh $(IMAGE_ARCH)
image-tree: $(BUILD)/sidestep
	BUILD=$(BUILD) image/build.sh $(IMAGE_ARCH)

# The tests' traffic generator and checker is static, so that it runs in an empty image.
PEER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/peer/*.c))
$(BUILD)/peer: $(PEER_OBJECTS)
	$(LINK) -static -lcrypto -lz -lzstd -o $@

# The benchmark's load generator and receiver (bench/README.md). The receiver contains Sidestep's steering.
BENCH_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard bench/load/*.c))
BENCH_COMMON  := $(BUILD)/bench/load/load.o $(BUILD)/bench/load/pages.o
$(BUILD)/bench/client: $(filter $(BUILD)/bench/load/client%,$(BENCH_OBJECTS)) $(BENCH_COMMON)
	$(LINK) -pie -lssl -lcrypto -o $@

$(BUILD)/bench/sink: $(BUILD)/bench/load/sink.o $(BUILD)/bench/load/steer.o $(BENCH_COMMON) \
		$(BUILD)/libsidestep.a $(BUILD)/libraries
	$(LINK) -pie @$(BUILD)/libraries -o $@

.PHONY: bench bench-quick
bench bench-quick: deps
	tests/deps.sh bench
	$(MAKE) -j$(JOBS) all $(BUILD)/bench/client $(BUILD)/bench/sink
	BUILD=$(BUILD) bench/run $(if $(filter bench-quick,$@),--quick)

.PHONY: help
help:
	@echo "make                build $(BUILD)/sidestep"
	@echo "make deps           install the packages for building and testing (Debian 12, 13, Ubuntu 24.04; as root)"
	@echo "make demo           show the main job on a real Docker engine (as root)"
	@echo "make image          write a container image to $(BUILD)/image/sidestep.tar; for the other platform IMAGE_ARCH=arm64"
	@echo "make deb            write the Debian package to $(BUILD)/deb; for the other architecture DEB_ARCH=arm64"
	@echo "make install        install the program, manual pages and completions below $(DESTDIR)$(prefix)"
	@echo "make uninstall      remove them"
	@echo "make check          build and run all tests (as root)"
	@echo "make units          build the unit tests; with ASan and UBSan: SANITIZE=1"
	@echo "make lint           check format, structure, prose and hardening, and analyse the C code"
	@echo "make format         format the C code"
	@echo "make check-programs run ordinary programs through a sidecar (as root; PROGRAMS_ROUNDS=6 for an hour)"
	@echo "make check-kernels  test the datapaths under other kernels of Debian's (as root; an hour); KERNELS=trixie TESTS=tests/nft.bats"
	@echo "make check-podman   run the image in Podman (as root; a minute)"
	@echo "make check-distros  run README's commands in bare Debian 12, 13 and forky (as root; an hour); DISTROS=trixie"
	@echo "make check-deb      install, upgrade and purge the package in bare Debian 12 and 13 (as root; 10 minutes)"
	@echo "make bench          compare with other programs; results go to bench/out (as root; 15 minutes)"
	@echo "make bench-quick    the same in 5 minutes"
	@echo "make vmlinux        write vmlinux.h from the running kernel"
	@echo "make clean          remove $(BUILD)"
	@echo "V=1 shows the commands. BUILD=FOLDER builds there."

# Takes a moment when nothing is missing.
.PHONY: deps
deps:
	tests/deps.sh build test

.PHONY: demo
demo: deps
	$(MAKE) -j$(JOBS) all $(BUILD)/peer
	tests/demo.sh

# Unit tests run as built, and again with ASan and UBSan.
.PHONY: check
check: deps
	tests/deps.sh lint >/dev/null
	$(MAKE) -j$(JOBS) all $(BUILD)/peer $(BUILD)/share/written units
	$(MAKE) -j$(JOBS) SANITIZE=1 units
	tests/run.sh tests/lint.sh $(sort $(UNIT_TESTS)) \
		$(sort $(UNIT_TESTS:$(BUILD)/%=$(BUILD)/sanitize/%)) $(sort $(wildcard tests/*.bats))

# Runs ordinary programs through a sidecar, one way to steer after the other.
.PHONY: check-programs
check-programs: deps
	tests/deps.sh programs
	$(MAKE) -j$(JOBS) all $(BUILD)/peer
	JOBS=1 LIMIT=7200 tests/run.sh tests/programs/own.bats tests/programs/agent.bats tests/programs/nftables.bats

# Tests the datapaths under other kernels of Debian's in virtual machines.
.PHONY: check-kernels
check-kernels: deps
	$(MAKE) -j$(JOBS) all $(BUILD)/peer units
	BUILD=$(BUILD) TESTS='$(TESTS)' tests/kernels/check.sh $(KERNELS)

# Runs README's commands in bare systems of other Debian releases.
.PHONY: check-distros
check-distros:
	BUILD=$(BUILD) tests/distros/check.sh $(DISTROS)

# Runs the image in Podman, which is unpacked below $(BUILD).
.PHONY: check-podman
check-podman: deps
	$(MAKE) -j$(JOBS) all $(BUILD)/peer
	tests/deps.sh podman
	$(MAKE) image
	tests/run.sh tests/podman/podman.bats

.PHONY: units
units: $(UNIT_TESTS)

.PHONY: lint
lint: all
	BUILD=$(BUILD) tests/lint.sh

.PHONY: format
format:
	tests/lint.sh --format

# Manual pages and completions come from the option tables of the commands.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION))
GENERATE_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard deploy/generate/*.c))
$(GENERATE_OBJECTS): private CPPFLAGS += -Ideploy/generate
$(BUILD)/deploy/generate/man.o: VERSION
$(BUILD)/generate: $(GENERATE_OBJECTS) $(BUILD)/libsidestep.a $(BUILD)/libraries
	$(LINK) -pie @$(BUILD)/libraries -o $@

# A cross build takes those of the machine's own build.
SHARE ?= $(BUILD)/share
$(BUILD)/share/written: $(BUILD)/generate
	rm -rf $(@D)
	mkdir -p $(addprefix $(@D)/,man/man8 bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	$(BUILD)/generate $(@D) $$(date -u -d @$(EPOCH) +%F)
	touch $@

# The folders have the names of the GNU coding standards, and DESTDIR stands before them.
PREFIX ?= /usr/local
prefix ?= $(PREFIX)
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
libdir ?= $(exec_prefix)/lib
sysconfdir ?= $(prefix)/etc
datarootdir ?= $(prefix)/share
datadir ?= $(datarootdir)
docdir ?= $(datarootdir)/doc/sidestep
mandir ?= $(datarootdir)/man
bashcompletiondir ?= $(datadir)/bash-completion/completions
zshfunctiondir ?= $(datadir)/zsh/site-functions
fishcompletiondir ?= $(datadir)/fish/vendor_completions.d
systemdunitdir ?= $(libdir)/systemd/system
.PHONY: install uninstall
install: all $(SHARE)/written
	install -D -m 755 $(BUILD)/sidestep '$(DESTDIR)$(bindir)/sidestep'
	install -D -m 644 -t '$(DESTDIR)$(mandir)/man8' $(SHARE)/man/man8/*.8
	install -D -m 644 -t '$(DESTDIR)$(bashcompletiondir)' $(SHARE)/bash-completion/completions/sidestep
	install -D -m 644 -t '$(DESTDIR)$(zshfunctiondir)' $(SHARE)/zsh/site-functions/_sidestep
	install -D -m 644 -t '$(DESTDIR)$(fishcompletiondir)' $(SHARE)/fish/vendor_completions.d/sidestep.fish
	for file in sidestep-agent.service:$(systemdunitdir)/sidestep-agent.service \
			sidestep-agent.default:$(sysconfdir)/default/sidestep-agent; do \
		install -D -m 644 deploy/$${file%:*} "$(DESTDIR)$${file#*:}" && \
		sed -i 's|@bindir@|$(bindir)|; s|@sysconfdir@|$(sysconfdir)|' "$(DESTDIR)$${file#*:}" || exit; \
	done
	install -D -m 644 -t '$(DESTDIR)$(docdir)' README.md LICENSE.md CHANGELOG.md SECURITY.md
	install -D -m 644 -t '$(DESTDIR)$(docdir)/LICENSES' LICENSES/*.txt

# Removes the files that install would write.
uninstall: $(SHARE)/written
	rm -f '$(DESTDIR)$(bindir)/sidestep' $(patsubst $(SHARE)/man/man8/%,'$(DESTDIR)$(mandir)/man8/%',$(wildcard $(SHARE)/man/man8/*.8)) \
		'$(DESTDIR)$(bashcompletiondir)/sidestep' '$(DESTDIR)$(zshfunctiondir)/_sidestep' \
		'$(DESTDIR)$(fishcompletiondir)/sidestep.fish' '$(DESTDIR)$(systemdunitdir)/sidestep-agent.service' \
		'$(DESTDIR)$(sysconfdir)/default/sidestep-agent'
	rm -rf '$(DESTDIR)$(docdir)'

# The Debian package; for the other architecture DEB_ARCH=arm64. deb-tree packs what was built.
DEB_ARCH ?= $(shell dpkg --print-architecture)
.PHONY: deb deb-tree
deb: $(BUILD)/share/written
	SHARE=$(BUILD)/share image/make.sh $(DEB_ARCH) deb-tree
deb-tree: $(BUILD)/sidestep
	BUILD=$(BUILD) deploy/debian/build.sh $(DEB_ARCH)

# Installs, upgrades and purges the package in bare systems of Debian's.
.PHONY: check-deb
check-deb: deps
	tests/deps.sh deb
	$(MAKE) -j$(JOBS) all $(BUILD)/peer $(BUILD)/share/written
	$(MAKE) deb
	$(MAKE) image
	$(MAKE) deb DEB_ARCH=$(if $(filter amd64,$(DEB_ARCH)),arm64,amd64)
	BUILD=$(BUILD) tests/distros/deb.sh $(DISTROS)

.PHONY: vmlinux
vmlinux:
	BPFTOOL=$(BPFTOOL) sh bpf/vmlinux.sh > vmlinux.h.tmp
	mv vmlinux.h.tmp vmlinux.h

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(patsubst %.o,%.d,$(USER_OBJECTS) $(MAIN_OBJECT) $(UNIT_SUPPORT) $(PEER_OBJECTS) $(BENCH_OBJECTS) $(GENERATE_OBJECTS)) \
	$(UNIT_TESTS:=.d)
