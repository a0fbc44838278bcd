# Sidestep. `make help` lists the targets.
# Everything that is built, unpacked or written goes below build/.

BUILD  ?= build
ifeq ($(origin CC),default)
CC     := gcc
endif
CLANG  ?= clang
BPFTOOL ?= $(shell command -v bpftool 2>/dev/null || echo /usr/sbin/bpftool)
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
CPPFLAGS += -D_GNU_SOURCE -DSIDESTEP_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD) \
	    -isystem /usr/share/include/llhttp -isystem /usr/share/include
ALL_CFLAGS := -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -pthread
LIBS    := -lbpf -lelf -lz -lmnl -lcurl -ljansson -lcap

BPF_SOURCES  := $(wildcard bpf/*.bpf.c)
SKELETONS    := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/%.skel.h)
USER_SOURCES := $(filter-out user/main.c,$(wildcard user/*.c))
USER_OBJECTS := $(USER_SOURCES:user/%.c=$(BUILD)/user/%.o)
LLHTTP_DIR   := /usr/share/llhttp
LLHTTP_OBJECTS := $(addprefix $(BUILD)/llhttp/,api.o http.o llhttp.o)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)

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

$(BUILD)/user/%.o: user/%.c $(SKELETONS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(CFLAGS) $(SANFLAGS) -c $< -o $@

$(BUILD)/libsidestep.a: $(USER_OBJECTS) $(LLHTTP_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/sidestep: $(BUILD)/user/main.o $(BUILD)/libsidestep.a
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libsidestep.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Ibpf -MMD -MP $< $(BUILD)/libsidestep.a $(LDFLAGS) $(LIBS) -lcmocka -o $@

# The traffic generator and checker of the tests: static, so that it runs in an empty image.
PEER_SOURCES := $(wildcard tests/peer/*.c)
$(BUILD)/peer: $(PEER_SOURCES) tests/peer/peer.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -static $(PEER_SOURCES) -lcrypto -lpthread -o $@

.PHONY: vmlinux
vmlinux:
	BPFTOOL=$(BPFTOOL) sh bpf/vmlinux.sh > vmlinux.h.tmp
	mv vmlinux.h.tmp vmlinux.h

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(USER_OBJECTS:.o=.d) $(BUILD)/user/main.d $(addsuffix .d,$(UNIT_TESTS))
