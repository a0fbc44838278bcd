/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands and exit statuses. A subcommand gets its own name as argv[0], and returns the
 * exit status. */
#ifndef SIDESTEP_COMMANDS_H
#define SIDESTEP_COMMANDS_H

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
int command_agent(int argc, char **argv);
int command_agent_watcher(int argc, char **argv);
int command_doctor(int argc, char **argv);

#endif
