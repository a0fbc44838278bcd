# Sidestep. `make help` lists the targets.
# Everything that is built, unpacked or written goes below build/.

BUILD  ?= build
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
ALL_CFLAGS := -std=gnu11 $(WARN) $(SECTIONS) $(CFLAGS) $(SANFLAGS) -pthread
LDFLAGS += -Wl,-z,relro,-z,now,--gc-sections,--as-needed

BPF_SOURCES  := $(wildcard bpf/*.bpf.c)
SKELETONS    := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/%.skel.h)
USER_SOURCES := $(wildcard user/*/*.c)
USER_OBJECTS := $(USER_SOURCES:user/%.c=$(BUILD)/user/%.o)
VERSION_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(shell grep -ls SIDESTEP_VERSION user/*.c user/*/*.c))
# Debian 12 packages llhttp as C sources (node-llhttp), newer releases as a library (libllhttp-dev).
LLHTTP_SOURCES := $(wildcard /usr/share/llhttp/*.c)
LLHTTP_OBJECTS := $(LLHTTP_SOURCES:/usr/share/llhttp/%.c=$(BUILD)/llhttp/%.o)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)
UNIT_SUPPORT := $(patsubst tests/unit/%.c,$(BUILD)/tests/%.o,$(wildcard tests/unit/support/*.c))

# V=1 shows the commands.
ifneq ($(V),1)
.SILENT:
endif

.DEFAULT_GOAL := all
.PRECIOUS: $(BUILD)/%.bpf.o
.PHONY: all
all: $(BUILD)/sidestep

$(BUILD)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/*.h) vmlinux.h
	@mkdir -p $(@D)
	$(CLANG) -target bpf -D__TARGET_ARCH_$(ARCH) -O2 -g -mcpu=v3 -Wall -Wextra -Werror \
		-Wno-missing-declarations -Iinclude -Ibpf -I. -c $< -o $@

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@.tmp
	mv $@.tmp $@

# Only programs/ includes the skeletons.
$(patsubst %.c,$(BUILD)/%.o,$(wildcard user/programs/*.c)): $(SKELETONS)

$(VERSION_OBJECTS): VERSION

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# llhttp 9 is always strict unless a parser is told otherwise; llhttp 8 wants the macro.
$(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DLLHTTP_STRICT_MODE=1 -std=gnu11 $(SECTIONS) $(CFLAGS) $(SANFLAGS) -c $< -o $@

$(BUILD)/libsidestep.a: $(USER_OBJECTS) $(LLHTTP_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

# The libraries to link with, in a file for the compiler. An archive is taken where all of it links: the
# dynamic linker's work at each start, and the memory of a dozen libraries, cost more than the program's
# own (docs/PERFORMANCE.md). A library stands behind those that it needs.
LIBRARIES := zstd z jansson cap crypto ssl elf bpf nftnl $(if $(LLHTTP_SOURCES),,llhttp)
$(BUILD)/libraries: Makefile | $(BUILD)/libsidestep.a
	links() { echo 'int main(void) { return 0; }' | $(CC) -x c - -x none -o $@.try "$$@" 2>/dev/null; }; \
	behind=-lmnl; \
	for name in $(LIBRARIES); do \
		if links -Wl,--whole-archive -l:lib$$name.a -Wl,--no-whole-archive $$behind; then \
			behind="-l:lib$$name.a $$behind"; \
		elif links -l$$name $$behind; then behind="-l$$name $$behind"; \
		else echo "lib$$name is missing; run: make deps" >&2; exit 1; fi; \
	done; \
	rm -f $@.try; \
	echo "$$behind" > $@

$(BUILD)/sidestep: $(BUILD)/user/main.o $(BUILD)/libsidestep.a $(BUILD)/libraries
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter-out %/libraries,$^) @$(BUILD)/libraries -o $@

# What one unit test alone needs: ldns is the oracle of our own codec, and what nftables says it has.
LIBS_test_dns_message := -lldns
LIBS_test_nft := -lnftables

# The unit tests share these: scripted peers and beds.
$(BUILD)/tests/support/%.o: tests/unit/support/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/tests/support.a: $(UNIT_SUPPORT)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/tests/support.a $(BUILD)/libsidestep.a $(BUILD)/libraries
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit $(ALL_CFLAGS) -Ibpf -MMD -MP $< $(BUILD)/tests/support.a $(BUILD)/libsidestep.a \
		$(LDFLAGS) @$(BUILD)/libraries $(LIBS_$*) -lcmocka -o $@

IMAGE_ARCH ?= $(shell dpkg --print-architecture)
.PHONY: image image-tree
image:
	tests/deps.sh build image
	image/make.sh $(IMAGE_ARCH)
image-tree: $(BUILD)/sidestep
	BUILD=$(BUILD) image/build.sh $(IMAGE_ARCH)

# The traffic generator and checker of the tests: static, so that it runs in an empty image.
PEER_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/peer/*.c))
$(BUILD)/peer: $(PEER_OBJECTS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -static $^ -lcrypto -lz -lzstd -o $@

# The benchmark's load generator and receiver (bench/README.md). The receiver has the product's own
# steering in it.
BENCH_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard bench/load/*.c))
BENCH_COMMON  := $(BUILD)/bench/load/load.o $(BUILD)/bench/load/pages.o
$(BUILD)/bench/client: $(filter $(BUILD)/bench/load/client%,$(BENCH_OBJECTS)) $(BENCH_COMMON)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ -lssl -lcrypto -o $@

$(BUILD)/bench/sink: $(BUILD)/bench/load/sink.o $(BUILD)/bench/load/steer.o $(BENCH_COMMON) $(BUILD)/libsidestep.a $(BUILD)/libraries
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter-out %/libraries,$^) @$(BUILD)/libraries -o $@

.PHONY: bench bench-quick
bench bench-quick: deps
	tests/deps.sh bench
	$(MAKE) all $(BUILD)/bench/client $(BUILD)/bench/sink
	BUILD=$(BUILD) bench/run $(if $(filter bench-quick,$@),--quick)

.PHONY: help
help:
	@echo "make deps     install what building and testing need (Debian 12, Ubuntu 24.04; as root)"
	@echo "make          build $(BUILD)/sidestep"
	@echo "make demo     run the main job on a real Docker engine and show it (as root)"
	@echo "make image    write a container image to $(BUILD)/image/sidestep.tar; IMAGE_ARCH=arm64"
	@echo "make check    build and run all tests (as root)"
	@echo "make check-kernels  the datapaths under Debian's other kernels (as root; an hour)"
	@echo "make bench    measure against what else there is, into bench/out (as root; 15 minutes)"
	@echo "make bench-quick  the same claims in 5 minutes"
	@echo "make units    build the unit tests; SANITIZE=1: with ASan and UBSan"
	@echo "make lint     format and static analysis"
	@echo "make vmlinux  renew vmlinux.h from the running kernel"
	@echo "make install  copy the program to $(DESTDIR)$(PREFIX)/bin"

# Installs only what is missing; quick when nothing is.
.PHONY: deps
deps:
	tests/deps.sh build test

.PHONY: demo
demo: deps
	$(MAKE) all $(BUILD)/peer
	tests/demo.sh

# Unit tests run twice: as built, and with ASan and UBSan.
.PHONY: check
check: deps
	$(MAKE) all $(BUILD)/peer units
	$(MAKE) SANITIZE=1 units
	tests/run.sh tests/lint.sh $(sort $(UNIT_TESTS)) \
		$(sort $(UNIT_TESTS:$(BUILD)/%=$(BUILD)/sanitize/%)) $(sort $(wildcard tests/*.bats))

# The datapaths under Debian's other kernels, in virtual machines: an hour.
.PHONY: check-kernels
check-kernels: deps
	$(MAKE) all $(BUILD)/peer units
	BUILD=$(BUILD) tests/kernels/check.sh $(KERNELS)

# README's commands in bare systems of Debian's releases.
.PHONY: check-distros
check-distros:
	BUILD=$(BUILD) tests/distros/check.sh $(DISTROS)

.PHONY: units
units: $(UNIT_TESTS)

.PHONY: lint
lint: $(SKELETONS)
	BUILD=$(BUILD) tests/lint.sh

.PHONY: format
format:
	clang-format -i user/*.[ch] user/*/*.[ch] tests/unit/*.[ch] tests/unit/support/*.[ch] tests/peer/*.[ch] bench/load/*.[ch] bpf/*.[ch] include/*.h

PREFIX ?= /usr/local
.PHONY: install
install: all
	install -D -m 755 $(BUILD)/sidestep $(DESTDIR)$(PREFIX)/bin/sidestep

.PHONY: vmlinux
vmlinux:
	BPFTOOL=$(BPFTOOL) sh bpf/vmlinux.sh > vmlinux.h.tmp
	mv vmlinux.h.tmp vmlinux.h

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(patsubst %.o,%.d,$(USER_OBJECTS) $(BUILD)/user/main.o $(PEER_OBJECTS) $(BENCH_OBJECTS) $(UNIT_SUPPORT)) $(UNIT_TESTS:=.d)
