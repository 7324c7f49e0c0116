"""`conv` and `flow` as functions see them (agent-project.md §5 and §14)."""

import json

from support.agent_projects import Open, calling, function_file, rules, start_function, texts
from support.flow_projects import flow_file, flow_function, step_file
from warmline.domain.turn import SmsRequest

VARIANTS = """
    variants:
      - name: north
        is_default: true
      - name: south
    attributes:
      - name: brand
        values: {north: Northlight, south: Southlight}
"""
TEMPLATES = """
    sms_templates:
      - name: link
        text: "${variant_brand}: hello $who, see $unknown for $5.00 {{vrbl:who}}"
        env_phone_numbers: {sandbox: "+15550000001", pre_release: "+15550000002", live: "+15550000003"}
"""
TRANSLATIONS = """
    translations:
      - name: bye
        translations: {en-GB: Goodbye, de-DE: Tschüss}
"""
RUN = "please run use now"


def using(body: str) -> dict[str, str]:
    """Give a project whose function `use` has this body and then says "ok"."""
    return calling(("use", body.strip("\n").replace("\n    ", "\n").strip() + '\nreturn {"utterance": "ok"}'))


async def test_C12_C62_metrics_and_loggers(talk_to: Open) -> None:
    files = using("""
    conv.write_metric("ONCE", 1, write_once=True)
    conv.write_metric("ONCE", 2, write_once=True)
    conv.write_metric("NONE")
    conv.write_metric("BOOL", True)
    conv.write_metric("BOOL", False)
    assert [m.name for m in conv.metrics_queue][-3:] == ["NONE", "BOOL", "BOOL"]
    conv.log.info("value %s", "an argument", exc_info=True, error=ValueError("x"), level="mine")
    conv.log.debug("detail")
    """)
    talk = talk_to(files)
    outcome = await talk.say(RUN)
    assert texts(outcome) == ["ok"]
    assert outcome.metrics[1:] == (("ONCE", 1), ("NONE", None), ("BOOL", True), ("BOOL", False))
    first, second = outcome.calls[0].logs
    assert (first["level"], first["content"], first["is_pii"], first["error"]) == ("info", "value %s", True, "x")
    assert second["level"] == "debug"
    again = await talk.say(RUN)
    assert [name for name, _ in again.metrics] == ["NONE", "BOOL", "BOOL"]


async def test_C14_C66_functions_call_each_other_with_and_without_conv(talk_to: Open) -> None:
    flow = "flows/checks/"
    files = {
        **start_function('conv.goto_flow("Checks")\nreturn {"utterance": "", "listen": {"asr": {"timeout": 0.1}}}'),
        "functions/double.py": function_file("double", "return n * 2", "n: int"),
        "functions/begin.py": function_file("begin", "return 'the global one'"),
        f"{flow}flow_config.yaml": flow_file("Checks", "begin"),
        f"{flow}steps/ask.yaml": step_file("Ask", "Say hello."),
        f"{flow}functions/add.py": flow_function("add", "return a + len(flow.current_step)", "a: int"),
        f"{flow}function_steps/begin.py": flow_function(
            "begin",
            """
            assert conv.functions.double(4) == conv.functions.double(conv, 4) == conv.functions.double(n=4) == 8
            assert flow.functions.add(1) == flow.functions.add(conv, flow, 1) == flow.functions.add(conv, 1) == 6
            assert flow.functions.add(flow, a=1) == 6
            assert conv.functions.begin() == "the global one"
            for executor, name in ((conv.functions, "missing"), (conv.functions, "add"), (flow.functions, "double")):
                try:
                    getattr(executor, name)
                except AttributeError:
                    continue
                raise AssertionError(name)
            assert (conv.current_flow, conv.current_step, flow.current_step) == ("Checks", "begin", "begin")
            flow.goto_step("nowhere")
            flow.goto_step("Ask", "label")
            return {"utterance": "ok"}
            """.replace("\n            ", "\n"),
            step=True,
        ),
    }
    outcome = await talk_to(files).start()
    assert texts(outcome) == ["ok"]
    assert [(call.name, call.error) for call in outcome.calls] == [("start_function", ""), ("begin", "")]
    assert rules(outcome) == []


async def test_C67_C69_C70_what_is_known_of_the_conversation(talk_to: Open) -> None:
    files = using("""
    assert conv.channel_type == "webchat.polyai" and conv.env == "live" and conv.language == "en-GB"
    for known in (conv.real_time_config, conv.memory, conv.sip_headers, conv.integration_attributes,
                  conv.verified_context, conv.context_vault, conv.metadata):
        assert known.get("missing") is None and known.get("missing", 5) == 5
    assert [(h.role, h.text) for h in conv.history][-1] == ("user", "please run use now")
    assert conv.history[-1].to_dict() == {"type": "user_input", "text": "please run use now"}
    assert conv.history[-1].to_string() == "User: please run use now"
    assert conv.transcript_alternatives == ["please run use now"] and conv.num_turns == 1
    assert conv.integration_attributes == {"plan": "gold"} and conv.caller_number == "+441632960001"
    assert conv.callee_number == "+441632960002" and conv.state["to"] == "+441632960002"
    assert conv.started_at.isoformat() == "2026-03-04T22:30:00+00:00"
    assert conv.variant is None and conv.variant_name is None and conv.variants == {}
    assert conv.current_flow is None and conv.entities.anything is None and conv.generic_external_events == []
    assert conv._analytics_events == [] and conv.sms_queue == [] and conv.cxone.contact_id is None
    assert conv.clock.today() == conv.clock.now().date() and conv.clock.timezone == "UTC"
    assert not hasattr(conv, "no_such_member")
    """)
    talk = talk_to(
        files,
        language="en-GB",
        caller_number="+441632960001",
        callee_number="+441632960002",
        started_at=1772663400000,
        integration_attributes={"plan": "gold"},
    )
    outcome = await talk.say(RUN)
    assert (texts(outcome), rules(outcome)) == (["ok"], [])


async def test_C67_real_time_configuration_is_that_of_the_environment_and_cannot_be_changed(talk_to: Open) -> None:
    body = """
    try:
        conv.real_time_config["new"] = 1
    except TypeError:
        return {"utterance": f"{conv.real_time_config.get('hours')} {conv.real_time_config.get('team', 'none')}"}
    """
    files = calling(("use", body))
    for folder, values in {
        "live": {"hours": "9-5"},
        "draft_and_sandbox": {"pages": {"one": {"hours": "always"}, "two": {"team": "test"}}},
    }.items():
        files[f"real_time_configuration/{folder}/data.json"] = json.dumps(values)
    talk = talk_to(files)
    assert texts(await talk.say(RUN)) == ["9-5 none"]
    for environment, expected in {"sandbox": "always test", "draft": "always test", "pre-release": "None none"}.items():
        talk.settings["environment"] = environment
        assert texts(await talk.say(RUN)) == [expected]


async def test_C68_what_only_voice_has_is_accepted_with_one_line_each(talk_to: Open) -> None:
    files = using("""
    conv.set_voice(ElevenLabsVoice(provider_voice_id="x", stability=0.5))
    conv.set_voice(CartesiaVoice("y"))
    conv.randomize_voice([VoiceWeighting(HumeVoice(), 1.0)])
    conv.set_asr_biasing(keywords=["a"], custom_biases={})
    conv.clear_asr_biasing()
    conv.discard_recording()
    conv.set_background_track("office", loudness=-40)
    conv.goto_csat_flow()
    conv.set_csat_eligibility(True, reason="x")
    conv.set_csat_phone_number("1")
    conv.set_csat_score(5)
    conv.set_csat_survey_entered()
    conv.cxone.signal(params={})
    conv.set_language("de-DE")
    """)
    outcome = await talk_to(files).say(RUN)
    assert (texts(outcome), rules(outcome), outcome.language) == (["ok"], [], "de-DE")
    assert {log["level"] for log in outcome.calls[0].logs} == {"debug"}
    members = [log["member"] for log in outcome.calls[0].logs]
    assert members.count("set_voice") == 1
    assert len(members) == 12


async def test_what_belongs_to_a_hosted_service_says_so_when_it_is_used(talk_to: Open) -> None:
    files = using("""
    uses = [
        lambda: conv.integrations.opentable.book(1), lambda: conv.send_email("a@b.org", "x"),
        lambda: conv.connectors.crm.get(), lambda: conv.send_whatsapp("1", "2", "3"),
        lambda: conv.send_content_template("s", "1", "c"), lambda: conv.generate_external_event(send_to_llm=True),
        lambda: conv.agentic_dial.start(), lambda: conv.utils.extract_address(), lambda: conv.utils.extract_city(),
    ]
    for use in uses:
        try:
            use()
        except NotConfigured as error:
            assert "hosted" in str(error) or "not available" in str(error)
        else:
            raise AssertionError
    """)
    assert texts(await talk_to(files).say(RUN)) == ["ok"]


async def test_C22_C47_variants_with_attributes(talk_to: Open) -> None:
    files = {"config/variant_attributes.yaml": VARIANTS}
    files |= using("""
    assert (conv.variant_name, conv.variant.brand, conv.variant.missing) == ("north", "Northlight", None)
    assert conv.variant.get("missing", 5) == 5 and conv.variants["south"].brand == "Southlight"
    conv.variant.timezone = "Europe/London"
    assert conv.variant.timezone == "Europe/London"
    conv.set_variant("nowhere")
    conv.set_variant("south")
    assert (conv.variant_name, conv.variant.brand) == ("south", "Southlight")
    """)
    outcome = await talk_to(files).say(RUN)
    assert (texts(outcome), outcome.variant) == (["ok"], "south")
    assert outcome.calls[0].logs[0]["variant"] == "nowhere"


async def test_C21_C64_texts_by_template_are_rendered_at_the_moment_they_are_sent(talk_to: Open) -> None:
    files = {"config/sms_templates.yaml": TEMPLATES, "config/variant_attributes.yaml": VARIANTS}
    files |= using("""
    assert conv.sms_templates["link"].phone_number == "+15550000003"
    conv.state.who = "Ada"
    assert conv.send_sms_template("+441632960001", "link") is None
    conv.state.who = "Bob"
    conv.send_sms("+441632960002", "", "plain $who")
    assert [type(sms).__name__ for sms in conv.sms_queue] == ["OutgoingSMSTemplate", "OutgoingSMS"]
    for wrong, error in (
        (lambda: conv.send_sms_template("+441632960001", "missing"), MissingTemplate),
        (lambda: conv.send_sms_template(None, "link"), InvalidInput),
        (lambda: conv.send_sms("+441632960001", "", " "), InvalidInput),
    ):
        try:
            wrong()
        except error:
            continue
        raise AssertionError
    """)
    talk = talk_to(files)
    outcome = await talk.say(RUN)
    assert texts(outcome) == ["ok"]
    rendered = "Northlight: hello Ada, see $unknown for $5.00 Ada"
    assert outcome.sms == (
        SmsRequest(to="+441632960001", text=rendered, from_number="+15550000003", template="link"),
        SmsRequest(to="+441632960002", text="plain $who"),
    )


async def test_a_function_that_fails_sends_no_text(talk_to: Open) -> None:
    talk = talk_to(calling(("use", 'conv.send_sms("+441632960001", "", "x")\nraise ValueError("x")')))
    outcome = await talk.say(RUN)
    assert (outcome.failed, outcome.sms) == (True, ())


async def test_translations_follow_the_language(talk_to: Open) -> None:
    files = {"config/translations.yaml": TRANSLATIONS}
    files |= using("""
    assert conv.translations.bye == "Goodbye"
    conv.set_language("de-DE")
    assert conv.translations.bye == "Tschüss"
    assert not hasattr(conv.translations, "missing")
    """)
    assert texts(await talk_to(files, language="en-GB").say(RUN)) == ["ok"]


async def test_C38_topics_are_disabled_and_enabled_again(talk_to: Open) -> None:
    files = calling(
        ("off", 'conv.knowledge_base.disable_topics(["run use", "other"])\nreturn {"utterance": "off"}'),
        ("on", 'conv.knowledge_base.enable_topics(["run use"])\n'
               'return {"utterance": str(conv.knowledge_base.disabled_topics)}'),
        ("use", 'return {"utterance": "used"}'),
    )  # fmt: skip
    talk = talk_to(files)
    await talk.say("please run off now")
    assert texts(await talk.say(RUN)) != ["used"]
    assert texts(await talk.say("please run on now")) == ["['other']"]
    assert texts(await talk.say(RUN)) == ["used"]


async def test_values_are_validated_as_their_type_asks(talk_to: Open) -> None:
    files = using("""
    import datetime
    u = conv.utils
    cases = [
        (u.NumericConfig(1, 5), "3", "3"), (u.NumericConfig(1, 5), "9", None), (u.NumericConfig(), "2.5", None),
        (u.CurrencyConfig(max_inclusive=10), "9.99", "9.99"), (u.QuantityConfig(), "two", "2"),
        (u.EnumConfig({"red", "blue"}), "Red", "red"), (u.EnumConfig({"red"}), "green", None),
        (u.AlphanumericConfig(custom_regex=r"[A-Z]{2}[0-9]{4}"), "ab1234", "AB1234"),
        (u.DateConfig(day_first=True), "03/04/2026", "2026-04-03"), (u.DateConfig(), "03/04/2026", "2026-03-04"),
        (u.DateConfig(latest_date_inclusive=datetime.date(2000, 1, 1)), "2026-03-04", None),
        (u.TimeConfig(latest_time_inclusive=datetime.time(17, 0)), "16:30", "16:30"),
        (u.TimeConfig(latest_time_inclusive="17:00"), "18:30", None),
        (u.PhoneNumberConfig({"GB"}), "020 7946 0958", "+442079460958"),
        (u.EmailConfig(), "ada@lumen-energy.com", "ada@lumen-energy.com"), (u.EmailConfig(), "ada", None),
        (u.NameConfig(), "Ada Lovelace", "Ada Lovelace"), (u.FreeTextConfig(), "any", "any"),
    ]
    for config, value, expected in cases:
        result = u.validate_entity(value, config)
        assert result.valid == result.is_valid == (expected is not None), (config, value, result)
        assert expected is None or result.value == expected, (config, value, result)
        assert result.valid == (not result.message)
    """)
    outcome = await talk_to(files).say(RUN)
    assert (texts(outcome), rules(outcome)) == (["ok"], []), outcome.calls[0].error


async def test_every_class_of_the_format_is_injected(talk_to: Open) -> None:
    files = using("""
    from polyai.webchat import ChatCallAction as action
    assert action is ChatCallAction
    values = (
        Attachment("https://a.org/x.png", content_type="image"), ChatCallAction("+1"), MetricEvent("n"),
        EntityValidationResult(), SMSTemplate("n", "t"), OutgoingSMS("+1"), OutgoingSMSTemplate("+1", "t"),
        SMSReceived("+1", "+2", "t"), GenericExternalEvent("id"), FlowTransition(), StepTransition(), Transition(),
        HandoffConfig(), Handoff(), Address(), CustomVoice(), RimeVoice(), PlayHTVoice(), MinimaxVoice(),
        GoogleVoice(), XaiVoice(), GradiumVoice(), HamsaVoice(), GoogleGeminiVoice(), NumericConfig(),
    )
    errors = (
        SMSIntegrationNotFound, SMSMissingAssistantAccess, MissingTemplate, MissingHandoff, PromptLLMCallLimitError,
        ChatCompletionError, SecretNotFound, MissingAccess, InvalidInput, ExtractionError, CxOneError,
    )
    assert all(issubclass(error, Exception) for error in errors)
    assert ElevenLabsVoice(provider_voice_id="v").provider_voice_id == "v"
    """)
    assert texts(await talk_to(files).say(RUN)) == ["ok"]


async def test_a_cxone_handoff_is_one_as_any_other(talk_to: Open) -> None:
    body = 'conv.cxone.handoff(destination="SALES", reason="why", signal={"p": 1})\nreturn {"utterance": "One moment."}'
    outcome = await talk_to(calling(("use", body))).say(RUN)
    assert outcome.handoff is not None
    assert (outcome.handoff.destination, outcome.handoff.reason) == ("SALES", "why")
    assert outcome.handoff.options["cxone"]["signal"] == {"p": 1}  # type: ignore[index]


async def test_tones_for_a_telephone_are_not_shown(talk_to: Open) -> None:
    body = 'return {"utterance": "1234#", "utterance_channel": "DTMF"}'
    outcome = await talk_to(calling(("use", body))).say(RUN)
    assert texts(outcome) == []
