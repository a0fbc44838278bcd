// SPDX-License-Identifier: Apache-2.0
#include "proxy/dns_policy.h"

#include "proto/dns_ech.h"
#include "proxy/policy.h"

static struct policy_verdict judge(const struct proxy_config *config,
				   const struct dns_question *question)
{
	char name[DNS_NAME_TEXT_MAX];
	struct policy_verdict verdict;

	if (!config->policy)
		return (struct policy_verdict) {.internet = true};
	dns_question_name(question, name);
	verdict = policy_judge(config->policy, name);
	if (question->size == 0 || !(verdict.every_type || dns_question_for_addresses(question)))
		verdict.allowed = false;
	return verdict;
}

static size_t answer_alone(const struct dns_question *question, struct policy_verdict verdict,
			   uint8_t message[DNS_ANSWER_MAX])
{
	if (verdict.allowed)
		return dns_made_up_write(question, message);
	return dns_error_write(question, verdict.internet ? DNS_SERVFAIL : DNS_NXDOMAIN, message);
}

int dns_policy_query(const struct proxy_config *config, const void *query, size_t size,
		     struct dns_question *ret_question, uint8_t message[DNS_ANSWER_MAX])
{
	int result = dns_query_parse(query, size, ret_question);
	struct policy_verdict verdict;

	if (result < 0)
		return result;
	verdict = judge(config, ret_question);
	if (result != DNS_NOERROR && !(result == DNS_NOTIMP && verdict.internet))
		return (int)dns_error_write(ret_question, (enum dns_rcode)result, message);
	return verdict.internet ? 0 : (int)answer_alone(ret_question, verdict, message);
}

size_t dns_policy_answer(const struct proxy_config *config, const struct dns_question *question,
			 void *answer, size_t size, uint8_t message[DNS_ANSWER_MAX])
{
	if (dns_rcode(answer) == DNS_NXDOMAIN) {
		struct policy_verdict verdict = judge(config, question);

		if (verdict.allowed && !verdict.tried)
			return dns_made_up_write(question, message);
	}
	if (config->sni_hint)
		(void)dns_ech_remove(answer, size);
	return 0;
}

size_t dns_policy_failure(const struct proxy_config *config, const struct dns_question *question,
			  uint8_t message[DNS_ANSWER_MAX])
{
	return answer_alone(question, judge(config, question), message);
}
