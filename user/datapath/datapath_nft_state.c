// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_state.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>

#include "datapath/datapath_nft_inner.h"
#include "datapath/datapath_nft_sets.h"
#include "datapath/datapath_nft_steer.h"

void nft_state_release(struct nft_state *state)
{
	nft_socket_close(state->socket);
	free(state->bypass.items);
	free(state->inbound);
}

int nft_state_open(struct nft_state *state)
{
	return state->socket ? 0 : nft_socket_open(&state->socket);
}

void nft_state_choose(struct nft_state *state, bool redirect)
{
	_cleanup_batch_ struct nft_batch batch = {0};

	state->rules.redirect = redirect;
	if (redirect || nft_state_open(state) < 0)
		return;
	nft_batch_open(&batch);
	nft_steer_add_trial(&batch);
	(void)nft_batch_commit(state->socket, &batch, &state->failure);
	state->rules.redirect = nft_failure_lacks(&state->failure, NFT_PART_TPROXY);
}

int nft_state_add_inbound(struct nft_state *state, const struct sidestep_flow_key *key)
{
	if (state->inbound_count == SIDESTEP_MAX_INBOUND)
		return -ENOSPC;
	if (state->inbound_count == state->inbound_room) {
		size_t room = state->inbound_room ? 2 * state->inbound_room : 64;
		void *keys = reallocarray(state->inbound, room, sizeof(*key));

		if (!keys)
			return -ENOMEM;
		state->inbound = keys;
		state->inbound_room = room;
	}
	state->inbound[state->inbound_count++] = *key;
	return 0;
}

/* Guards devices by name, as nftables wants it. A device that is gone is left out. Returns false
 * where no device is left, and so no guard. */
static bool add_guard(struct nft_batch *batch, const struct nft_state *state)
{
	char names[NFT_DEVICES_MAX][IFNAMSIZ];
	size_t count = nft_devices_guarded(&state->devices, names);

	nft_rules_add_guard(batch, (const char(*)[IFNAMSIZ])names, count, state->rules.no_log);
	return count > 0;
}

static void put_inner(const struct nft_table *table, const struct nft_state *state, bool update)
{
	if (update)
		nft_inner_renew_bridged(table, &state->rules);
	nft_sets_put_inner(table, &state->devices, update);
}

/* Commits all of the tables, or (@update) the changes. */
static int apply(struct nft_state *state, bool update)
{
	_cleanup_batch_ struct nft_batch batch;
	const struct nft_table judge = {&batch, NFT_JUDGE_FAMILY};
	const struct nft_table guard = {&batch, NFT_GUARD_FAMILY};
	bool new_guard = !state->no_egress && (!update || state->devices.changed);
	bool guarded = state->guarded;
	size_t put = update ? state->inbound_put : 0;
	int error;

	nft_batch_open(&batch);
	if (!update) {
		nft_rules_add(&batch, &state->rules);
		nft_sets_put_own(&judge, state->kept.items, state->kept.count);
	}
	if (!update || state->bypass_changed)
		nft_sets_put_bypass(&judge, &state->bypass, update);
	nft_sets_put_inbound(&judge, state->inbound, put, state->inbound_count);
	if (!state->rules.redirect && (!update || state->devices.changed))
		put_inner(&judge, state, update);
	if (new_guard)
		guarded = add_guard(&batch, state);
	if (guarded && (new_guard || state->bypass_changed))
		nft_sets_put_bypass(&guard, &state->bypass, !new_guard);
	error = state->trial ? nft_batch_check(state->socket, &batch, &state->failure)
			     : nft_batch_commit(state->socket, &batch, &state->failure);
	if (error < 0)
		return error;
	state->guarded = guarded;
	state->bypass_changed = false;
	state->devices.changed = false;
	state->inbound_put = state->inbound_count;
	return 0;
}

/* Takes the judging table's part that the last transaction failed for from the next one. Returns
 * false if it is needed. */
static bool leave_out(struct nft_state *state)
{
	if (nft_failure_lacks(&state->failure, NFT_PART_TIMEOUTS) && state->rules.half_closed_s)
		state->rules.half_closed_s = 0;
	else if (nft_failure_lacks(&state->failure, NFT_PART_SOCKET) && !state->rules.no_socket)
		state->rules.no_socket = true;
	else if (nft_failure_lacks(&state->failure, NFT_PART_REJECT) && !state->rules.no_reject)
		state->rules.no_reject = true;
	else if (nft_failure_lacks(&state->failure, NFT_PART_LOG) && !state->rules.no_log)
		state->rules.no_log = true;
	else
		return false;
	return true;
}

int nft_state_install(struct nft_state *state)
{
	int error;

	do {
		error = apply(state, false);
	} while (error < 0 && leave_out(state));
	/* A device that went away between the look at its name and the transaction. */
	if (error == -ENOENT && state->failure.family == NFT_GUARD_FAMILY)
		error = apply(state, false);
	/* A kernel that has guarded devices before fails for another reason. */
	if (error == 0 || state->failure.family != NFT_GUARD_FAMILY || state->guarded)
		return error;
	state->no_egress = true;
	error = apply(state, false);
	state->no_egress = error == 0;
	return error;
}

int nft_state_update(struct nft_state *state)
{
	return apply(state, true);
}

int nft_state_uninstall(struct nft_state *state)
{
	_cleanup_batch_ struct nft_batch batch;

	nft_batch_open(&batch);
	nft_table_remove(&(const struct nft_table) {&batch, NFT_JUDGE_FAMILY});
	if (state->guarded)
		nft_table_remove(&(const struct nft_table) {&batch, NFT_GUARD_FAMILY});
	return nft_batch_commit(state->socket, &batch, &state->failure);
}

int nft_state_retire(struct nft_state *state)
{
	_cleanup_batch_ struct nft_batch batch;
	int error;

	nft_batch_open(&batch);
	nft_steer_add_retired(&batch, &state->rules);
	if (state->guarded)
		nft_table_remove(&(const struct nft_table) {&batch, NFT_GUARD_FAMILY});
	error = nft_batch_commit(state->socket, &batch, &state->failure);
	if (error == 0)
		state->guarded = false;
	return error;
}
