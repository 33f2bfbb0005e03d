"""Who reproduces what: every figure of the shared data, and every trap in it, with the test that gets it from us.

A test is named by its file below `tests/` and its function. `NOT_OURS` holds what is no figure of cost, tokens, counts
or outcomes that the books could hold, each with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping

Table = tuple[str, str]
"""A set of data and one table of its figures."""

AIDER, CLAUDE = "figures/test_aider.py::", "figures/test_claude_code.py::"
INSPECT, JUDGES = "figures/test_inspect.py::", "figures/test_judges.py::"
LANGFUSE, OPENHANDS = "figures/test_langfuse.py::", "figures/test_openhands.py::"
REQUESTS, TAU2 = "figures/test_requests.py::", "figures/test_tau2.py::"
CASSETTES = "sdk/bodies/test_cassettes.py::"

CLAIMED: Mapping[Table, Mapping[str, tuple[str, ...]]] = {
    ("tau2", "Outcomes and recorded cost (done = reward 1)"): {
        f"{TAU2}test_sessions_and_what_became_of_them": ("file", "sessions", "done"),
        f"{TAU2}test_the_models_of_both_payers": ("agent model",),
        f"{TAU2}test_cost_of_both_payers_and_of_a_completed_task": (
            *("agent cost", "user cost", "agent cost / done", "full cost / done", "agent cost of not done"),
        ),
    },
    ("tau2", "Calls, tokens and the cost written on each message"): {
        f"{TAU2}test_calls_tokens_and_tools": (
            *("file", "agent calls", "user calls", "agent in", "agent out", "user in", "user out"),
            *("tool results", "tool errors", "agent message cost", "user message cost"),
        ),
        f"{TAU2}test_a_message_without_usage_is_passed_over_and_said_so": ("messages without usage",),
    },
    ("tau2", "Time"): {
        f"{TAU2}test_time_of_sessions": (
            *("file", "first start", "last end", "wall clock s", "session seconds", "most at once"),
        ),
        f"{TAU2}test_times_without_a_zone_are_said_to_be_so": ("time zone",),
    },
    ("tau2", "Recorded cost against list price"): {
        f"{TAU2}test_recorded_cost_against_list_price": (
            *("file", "payer", "calls", "recorded", "list without cache", "list / recorded"),
        ),
        f"{TAU2}test_the_cached_share_that_recorded_cost_implies": ("implied cached share",),
        f"{TAU2}test_every_call_is_explained_by_whole_steps_of_cached_tokens": ("calls explained exactly",),
    },
    ("judges", "Judge calls by session"): {
        f"{JUDGES}test_cost_tokens_and_verdicts": (
            *("cost, summed", "cost, stated", "sessions judged", "tokens in", "tokens out", "sessions done"),
            "session log present",
        ),
        f"{JUDGES}test_all_of_it_is_the_cost_centre_of_checks": ("file", "judge model"),
        f"{JUDGES}test_what_the_judge_passed_though_it_was_not_done": ("judged pass though not done",),
        f"{JUDGES}test_every_call_fits_the_price_of_who_served_it": ("equal to list price within 1e-9",),
    },
    ("aider", "Messages"): {
        f"{AIDER}test_the_import_accounts_for_every_event": ("events",),
        f"{AIDER}test_who_spends_nothing_is_a_user_too": ("user ids",),
        f"{AIDER}test_the_first_event_is_where_the_books_begin": ("first event", "last event"),
        f"{AIDER}test_messages_tokens_and_recorded_cost": (
            *("messages", "cost", "tokens in", "tokens out", "message exceptions", "messages of the busiest user"),
        ),
        f"{AIDER}test_a_cost_of_zero_is_no_recorded_cost": (
            *("messages at cost 0", "tokens of messages at cost 0", "of these at cost 0"),
        ),
        f"{AIDER}test_names_that_say_nothing_are_kept": (
            *("messages with a REDACTED model", "messages whose model is the text None", "their cost"),
        ),
        f"{AIDER}test_money_for_nothing_is_a_cost_of_retries": ("paid messages with no output", "cost of these"),
        f"{AIDER}test_the_dearest_message": ("dearest message", "its model", "its tokens in", "its tokens out"),
        f"{AIDER}test_the_longest_silence_has_no_rows": ("longest silence, hours", "it begins"),
    },
    ("aider", "By month, UTC"): {
        f"{AIDER}test_the_series_has_data_only_where_there_was_some": ("month", "messages", "tokens", "cost"),
    },
    ("aider", "By model, the ten dearest"): {
        f"{AIDER}test_the_ten_dearest_models_under_their_own_names": ("model", "messages", "tokens", "cost"),
    },
    ("aider", "Benchmark runs"): {
        f"{AIDER}test_benchmark_runs": ("file", "runs", "with total_cost", "total_cost above 0", "sum"),
    },
    ("azure", "By hour"): {
        f"{REQUESTS}test_azure_by_hour": ("hour", "requests", "context", "generated"),
    },
    ("azure", "Minutes"): {
        f"{REQUESTS}test_azure_by_minute": ("first", "last", "minutes with traffic", "busiest minute", "its tokens"),
    },
    ("mooncake", "Requests"): {
        f"{REQUESTS}test_mooncake_requests": ("requests", "span s", "tokens in", "tokens out"),
        f"{REQUESTS}test_what_a_prefix_cache_could_serve": (
            *("prefix blocks", "blocks seen before", "cacheable share"),
            *("distinct timestamps", "most requests in one timestamp"),
        ),
    },
    ("claude", "Lines and responses"): {
        f"{CLAUDE}test_each_file_alone_keeps_the_last_word": ("file", "responses", "output by last line"),
        f"{CLAUDE}test_the_import_says_how_many_lines_were_known_already": ("lines with usage",),
        f"{CLAUDE}test_every_line_a_response_of_its_own_would_cost_twice_as_much": ("output by first line",),
    },
    ("claude", "Every line added, or one line per response"): {
        f"{CLAUDE}test_every_line_a_response_of_its_own_would_cost_twice_as_much": (
            *("way", "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        ),
        f"{CLAUDE}test_one_per_response_not_every_line": ("responses", "output_tokens", "list price"),
    },
    ("claude", "By session, one per response"): {
        f"{CLAUDE}test_every_session_part_and_model": (
            *("session", "part", "model", "responses", "output_tokens", "list price"),
            *("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        ),
    },
    ("claude", "Sub-agents: the same work in up to three places"): {
        f"{CLAUDE}test_an_agent_told_in_three_places_counts_once": ("agent", "place", "responses"),
        f"{CLAUDE}test_an_agent_that_only_its_parent_tells_of_counts_too": (
            *("output_tokens", "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        ),
    },
    ("langfuse", "Traces"): {
        f"{LANGFUSE}test_every_report_is_kept": (
            *("file", "observations", "generations", "of these inside another generation"),
            *("in", "out", "recorded cost", "list price"),
        ),
        f"{LANGFUSE}test_a_trace_in_two_files_is_one": ("trace id",),
    },
    ("langfuse", "Calls reported twice (agno)"): {
        f"{LANGFUSE}test_the_session_shows_both_layers_and_which_counts": (
            *("generation", "inside", "start", "in", "out", "recorded cost"),
        ),
    },
    ("inspect", "Logs"): {
        f"{INSPECT}test_samples_and_how_they_ended": ("file", "samples", "correct"),
        f"{INSPECT}test_a_sample_of_another_epoch_is_another_session": ("epochs",),
        f"{INSPECT}test_tokens_and_those_inside_them": (
            *("in", "of these cache read", "out", "reasoning", "total stated"),
        ),
        f"{INSPECT}test_what_the_graders_used": ("by graders",),
        f"{INSPECT}test_a_log_that_states_only_totals_says_so": ("total by samples",),
        f"{INSPECT}test_models_and_times_are_those_of_the_log": ("model", "started"),
    },
    ("openhands_runs", "Runs"): {
        f"{OPENHANDS}test_runs_without_metrics_have_outcomes_and_no_cost": (
            *("file", "model", "runs", "succeeded", "with an error", "with metrics", "cost"),
        ),
    },
    ("openhands_index", "Tasks by benchmark"): {
        f"{OPENHANDS}test_tasks_and_results": (
            *("agent/model", "benchmark", "tasks", "resolved", "unknown result", "resolved %"),
        ),
        f"{OPENHANDS}test_cost_and_what_it_divides_by": ("cost", "mean over all tasks", "cost / resolved"),
        f"{OPENHANDS}test_what_the_files_say_of_a_cost": ("with cost", "at cost 0", "mean over tasks with cost"),
        f"{OPENHANDS}test_what_was_published_stands_beside_what_the_tasks_say": ("published mean", "published %"),
    },
    ("cassettes", "Exchanges (– = not in the answer)"): {
        f"{CASSETTES}test_every_exchange_gives_its_figures": (
            *("cassette", "no.", "status", "path", "in", "out", "cache read", "cache write"),
        ),
    },
    ("cassettes", "Guardrail units in an answer"): {
        f"{CASSETTES}test_guardrail_units_by_check_and_policy": (
            *("cassette", "check", "topicPolicyUnits", "contentPolicyUnits", "wordPolicyUnits"),
            *("sensitiveInformationPolicyUnits", "sensitiveInformationPolicyFreeUnits"),
            "contextualGroundingPolicyUnits",
        ),
    },
}

NOT_OURS: Mapping[Table, Mapping[str, str]] = {
    ("judges", "Judge calls by session"): {
        "equal digit for digit": "binary noise far below a nano-unit, which the door rounds away on purpose (trap 33)",
    },
    ("aider", "Messages"): {
        "running totals added up (wrong)": "the sum of a column that must not be added; the books never read it",
        "drops of the running total": "a property of that column, not of what was spent",
    },
    ("claude", "Lines and responses"): {
        "most lines of one response": "how a file spells a response; the books hold each response once",
        "responses whose output grows": "the same; that the last word is kept is tested by the sums",
    },
}

TRAPS: Mapping[int, tuple[str, ...]] = {
    1: (f"{CLAUDE}test_every_line_a_response_of_its_own_would_cost_twice_as_much",),
    2: (f"{CLAUDE}test_each_file_alone_keeps_the_last_word",),
    3: (f"{CLAUDE}test_an_agent_told_in_three_places_counts_once",),
    4: (f"{CLAUDE}test_an_agent_that_only_its_parent_tells_of_counts_too",),
    5: (
        f"{TAU2}test_recorded_cost_against_list_price",
        f"{TAU2}test_every_call_is_explained_by_whole_steps_of_cached_tokens",
    ),
    6: (f"{JUDGES}test_every_call_fits_the_price_of_who_served_it",),
    7: (
        f"{TAU2}test_the_fine_tuned_model_has_no_price",
        f"{OPENHANDS}test_a_cost_of_zero_throughout_is_unknown",
        f"{AIDER}test_a_cost_of_zero_is_no_recorded_cost",
    ),
    8: (f"{TAU2}test_a_message_without_usage_is_passed_over_and_said_so",),
    9: (
        f"{TAU2}test_calls_tokens_and_tools",
        f"{OPENHANDS}test_runs_without_metrics_have_outcomes_and_no_cost",
    ),
    10: (f"{OPENHANDS}test_what_the_files_say_of_a_cost",),
    11: (f"{OPENHANDS}test_what_was_published_stands_beside_what_the_tasks_say",),
    12: (f"{OPENHANDS}test_what_was_published_stands_beside_what_the_tasks_say",),
    13: (f"{OPENHANDS}test_tasks_and_results",),
    14: (
        f"{INSPECT}test_tokens_and_those_inside_them",
        "normalize/test_basis.py::test_output_is_read_as_its_source_counts_it",
    ),
    15: (
        f"{INSPECT}test_tokens_and_those_inside_them",
        f"{CASSETTES}test_every_exchange_gives_its_figures",
    ),
    16: (f"{CASSETTES}test_every_exchange_gives_its_figures",),
    17: (f"{LANGFUSE}test_a_generation_inside_a_generation_is_one_call",),
    18: (f"{LANGFUSE}test_a_trace_in_two_files_is_one",),
    19: (f"{LANGFUSE}test_a_recorded_price_of_ones_own_is_named",),
    20: (
        f"{TAU2}test_times_without_a_zone_are_said_to_be_so",
        "sources/test_table_files.py::test_times_are_read_in_the_given_zone",
    ),
    21: (f"{TAU2}test_time_of_sessions",),
    22: (
        f"{REQUESTS}test_what_a_prefix_cache_could_serve",
        "sources/test_table_files.py::test_messages_of_one_second_are_several",
    ),
    23: (f"{JUDGES}test_cost_tokens_and_verdicts",),
    24: (f"{AIDER}test_messages_tokens_and_recorded_cost",),
    25: (f"{AIDER}test_money_for_nothing_is_a_cost_of_retries", f"{AIDER}test_the_dearest_message"),
    26: (f"{AIDER}test_the_longest_silence_has_no_rows",),
    27: (f"{AIDER}test_names_that_say_nothing_are_kept",),
    28: (f"{INSPECT}test_a_sample_of_another_epoch_is_another_session",),
    29: (f"{INSPECT}test_a_log_that_states_only_totals_says_so",),
    30: (f"{INSPECT}test_what_the_graders_used",),
    31: (
        f"{CASSETTES}test_every_exchange_gives_its_figures",
        f"{CASSETTES}test_what_is_no_model_call_has_no_route",
    ),
    32: (
        f"{CASSETTES}test_every_exchange_gives_its_figures",
        f"{CASSETTES}test_guardrail_units_by_check_and_policy",
    ),
    33: (f"{JUDGES}test_cost_tokens_and_verdicts",),
}
