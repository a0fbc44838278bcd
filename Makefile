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
ALL_CFLAGS := -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -pthread
# Archives where the distribution has them: the dynamic linker's work at each start, and the memory of
# a dozen libraries, cost more than the program's own (docs/PERFORMANCE.md). libnftables is loaded
# when it is needed (user/datapath/datapath_nft_run.c). zstd is libelf's, where that has it.
has_archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a))
LIBS    := $(foreach lib,bpf elf z jansson cap ssl crypto,$(if $(call has_archive,$(lib)),-l:lib$(lib).a,-l$(lib))) \
	   $(if $(call has_archive,zstd),-l:libzstd.a) -lmnl
LDFLAGS += -Wl,-z,relro,-z,now,--gc-sections,--as-needed

BPF_SOURCES  := $(wildcard bpf/*.bpf.c)
SKELETONS    := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/%.skel.h)
USER_SOURCES := $(wildcard user/*/*.c)
USER_OBJECTS := $(USER_SOURCES:user/%.c=$(BUILD)/user/%.o)
LLHTTP_DIR   := /usr/share/llhttp
LLHTTP_OBJECTS := $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)

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

$(BUILD)/user/%.o: user/%.c VERSION
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/llhttp/%.o: $(LLHTTP_DIR)/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DLLHTTP_STRICT_MODE=1 -std=gnu11 $(CFLAGS) $(SANFLAGS) -c $< -o $@

$(BUILD)/libsidestep.a: $(USER_OBJECTS) $(LLHTTP_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/sidestep: $(BUILD)/user/main.o $(BUILD)/libsidestep.a
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

# What one unit test alone needs: ldns is the oracle of our own codec, and what nftables says it has.
LIBS_test_dns_message := -lldns
LIBS_test_nft := -lnftables

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libsidestep.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Ibpf -MMD -MP $< $(BUILD)/libsidestep.a $(LDFLAGS) $(LIBS) $(LIBS_$*) -lcmocka -o $@

IMAGE_ARCH ?= $(shell dpkg --print-architecture)
.PHONY: image image-tree
image:
	tests/deps.sh build image
	image/make.sh $(IMAGE_ARCH)
image-tree: $(BUILD)/sidestep
	BUILD=$(BUILD) image/build.sh $(IMAGE_ARCH)

# The traffic generator and checker of the tests: static, so that it runs in an empty image.
PEER_SOURCES := $(wildcard tests/peer/*.c)
$(BUILD)/peer: $(PEER_SOURCES) tests/peer/peer.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -static $(PEER_SOURCES) -lcrypto -lpthread -o $@

# The benchmark's load generator and receiver (bench/README.md). The receiver has the product's own
# steering in it.
BENCH_LOAD   := bench/load/load.c bench/load/pages.c
BENCH_CLIENT := $(wildcard bench/load/client*.c) $(BENCH_LOAD)
BENCH_SINK   := bench/load/sink.c bench/load/steer.c $(BENCH_LOAD)
$(BUILD)/bench/client: $(BENCH_CLIENT) $(wildcard bench/load/*.h)
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(ALL_CFLAGS) $(BENCH_CLIENT) -lssl -lcrypto -o $@

$(BUILD)/bench/sink: $(BENCH_SINK) $(wildcard bench/load/*.h) $(BUILD)/libsidestep.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(BENCH_SINK) $(BUILD)/libsidestep.a $(LIBS) -o $@

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

.PHONY: units
units: $(UNIT_TESTS)

.PHONY: lint
lint: $(SKELETONS)
	BUILD=$(BUILD) tests/lint.sh

.PHONY: format
format:
	clang-format -i user/*.[ch] user/*/*.[ch] tests/unit/*.c tests/peer/*.[ch] bench/load/*.[ch] bpf/*.[ch] include/*.h

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

-include $(USER_OBJECTS:.o=.d) $(BUILD)/user/main.d $(addsuffix .d,$(UNIT_TESTS))
