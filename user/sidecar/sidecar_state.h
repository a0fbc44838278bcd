/* SPDX-License-Identifier: Apache-2.0 */
/* A sidecar's parts, which its steps make and undo. */
#ifndef SIDESTEP_SIDECAR_STATE_H
#define SIDESTEP_SIDECAR_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "lib/run_socket.h"
#include "lib/socket_address.h"
#include "metrics/metrics_events.h"
#include "metrics/metrics_histogram.h"
#include "metrics/metrics_server.h"
#include "metrics/otlp.h"
#include "sidecar/exemption.h"
#include "sidecar/gateway_target.h"
#include "sidecar/ipv6_pause.h"
#include "sidecar/main_request.h"
#include "sidecar/sidecar_datapath.h"
#include "sidecar/sidecar_options.h"
#include "sidecar/sidecar_takeover.h"
#include "sidecar/way_out.h"
#include "steering/bridge_netns.h"

/* The metrics' part (--metrics-listen). */
struct sidecar_metrics {
	struct metrics_server *server; /* NULL: nobody asks */
	struct metrics_events *sums;   /* of events; NULL: neither metrics nor OTLP */
	struct otlp *otlp;	       /* NULL: no collector */
	time_t start;
	struct metrics_histogram sync_lag;
	_Atomic uint64_t sync_failures;
};

struct event_log;
struct event_server;
struct events;
struct sidecar_who;

struct sidecar_events {
	struct events *events; /* NULL: nobody wants them */
	struct event_server *server;
	struct event_log *log;
	struct sidecar_who *who;	/* like @events */
	char path[RUN_SOCKET_PATH_MAX]; /* the server's; "": there is none */
};

/* Belongs to the main thread. The options and the target are the caller's. */
struct sidecar {
	const struct sidecar_options *options;
	const struct gateway_target *target; /* NULL: there is none, the start will fail */
	struct socket_address gateway;	     /* as found at the start; AF_UNSPEC: not yet */
	bool bridge_mode;
	unsigned int threads; /* of the proxy */
	size_t steps_begun;   /* these need a stop */
	bool live;	      /* every step succeeded */
	bool guarded;	      /* a start that fails leaves the namespace closed */
	bool deserted;	      /* nobody is left to serve */
	bool ajar;	      /* packets may get out of the namespace that was to stay closed */
	bool bpf_dropped;     /* CAP_BPF is not needed any more */
	int signal_fd;
	int lock_fd;
	int live_fd; /* the mark for `sidestep ready` */
	int monitor_fd;
	struct gateway_finder finder;  /* the preflight's, once that runs */
	struct socket_address refused; /* the last address of its name that was not taken */
	struct main_request internet;  /* of the control API */
	struct main_request move;      /* of the preflight: the gateway has another address */
	int gateway_fd;		       /* eventfd: the control API has changed the gateway */
	bool bridges_known;	       /* Docker's networks are known, or nobody asks for them */
	size_t bridges_found;	       /* as the log says */
	struct bridge_netns bridge;
	struct policy *policy;
	struct tls_authority *tls;
	struct capture_source *captures; /* NULL: none */
	struct sidecar_datapath datapath;
	struct sidecar_takeover takeover;
	struct sidecar_events events;
	struct proxy *proxy;
	struct ipv6_pause ipv6;
	struct way_out way_out;
	struct exemption exemption;
	struct steering *steering;
	struct docker_feed *feed;
	struct preflight *preflight;
	struct control *control;
	struct operator_server *operator; /* NULL: none */
	int sync_error;			  /* of the last sync for the operator */
	struct sidecar_metrics metrics;
};

#endif
