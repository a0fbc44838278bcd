/* SPDX-License-Identifier: Apache-2.0 */
/* The label that makes a container a sidecar. The container or its image has it. */
#ifndef SIDESTEP_DOCKER_LABEL_H
#define SIDESTEP_DOCKER_LABEL_H

#define DOCKER_SIDECAR_LABEL "dev.sidestep.role"
#define DOCKER_SIDECAR_ROLE  "sidecar"

#endif
