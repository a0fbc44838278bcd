/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands and exit statuses. A subcommand gets its own name as argv[0], and returns the
 * exit status. */
#ifndef SIDESTEP_COMMANDS_H
#define SIDESTEP_COMMANDS_H

#include <stdio.h>

enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,  /* failed; the log has the reason */
	STATUS_USAGE = 2,   /* the command line is wrong */
	STATUS_BUSY = 3,    /* another instance is running here */
	STATUS_GATEWAY = 4, /* the gateway cannot be reached (doctor) */
	STATUS_NOBODY = 5,  /* the network namespace is left, with nobody to serve (sidecar) */
};

int command_sidecar(int argc, char **argv);
int command_gateway(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_ready(int argc, char **argv);
int command_status(int argc, char **argv);
int command_top(int argc, char **argv);
int command_agent(int argc, char **argv);
int command_agent_watcher(int argc, char **argv);
int command_agent_exporter(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_observe(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_bypass(int argc, char **argv);
int command_capture(int argc, char **argv);
int command_report(int argc, char **argv);
int command_version(int argc, char **argv);
int command_help(int argc, char **argv);

/* Prints the list of the commands. */
void command_usage(FILE *stream);

/* Their option tables (lib/options.h). */
struct options_command;
extern const struct options_command sidecar_options_command;
extern const struct options_command gateway_options_command;
extern const struct options_command demo_options_command;
extern const struct options_command ready_options_command;
extern const struct options_command status_options_command;
extern const struct options_command top_options_command;
extern const struct options_command agent_options_command;
extern const struct options_command doctor_options_command;
extern const struct options_command observe_options_command;
extern const struct options_command explain_options_command;
extern const struct options_command bypass_options_command;
extern const struct options_command capture_options_command;
extern const struct options_command report_options_command;
extern const struct options_command version_options_command;
extern const struct options_command help_options_command;

#endif
