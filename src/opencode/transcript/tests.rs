use super::*;

#[test]
fn another_session_in_the_stream_pays_and_neither_answers_nor_ends_the_run() {
    let mut transcript = Transcript::new();
    let line = |session: &str, kind: &str, part: &str| {
        format!(
            r#"{{"type":"{kind}","timestamp":1,"sessionID":"{session}","part":{{"messageID":"{session}"{part}}}}}"#
        )
    };
    let end = r#","reason":"stop","tokens":{"input":1,"output":2},"cost":0.5"#;
    for (session, kind, part) in [
        ("ses_1", "step_start", ""),
        ("ses_2", "step_start", ""),
        ("ses_2", "text", r#","text":"of another""#),
        ("ses_2", "step_finish", end),
    ] {
        transcript.push_line(&line(session, kind, part));
    }
    let sum = transcript.finish();
    assert_eq!(
        (sum.session_id.as_deref(), sum.answer.as_str()),
        (Some("ses_1"), "")
    );
    assert_eq!((sum.open_step, sum.clean_stop, sum.cost_usd), (true, false, 0.5));
    assert_eq!(transcript.last_session(), Some("ses_2"));
    transcript.push_line(&line("ses_1", "text", r#","text":"its own""#));
    transcript.push_line(&line("ses_1", "step_finish", end));
    let failed = r#"{"type":"error","timestamp":1,"sessionID":"ses_2","error":{"name":"APIError","data":{"message":"no","statusCode":401}}}"#;
    transcript.push_line(failed);
    let sum = transcript.finish();
    assert_eq!(
        (sum.answer.as_str(), sum.clean_stop, sum.cost_usd),
        ("its own", true, 1.0)
    );
}

#[test]
fn an_id_that_is_none_is_not_taken_from_the_stream() {
    let mut transcript = Transcript::new();
    transcript
        .push_line(r#"{"type":"step_start","timestamp":1,"sessionID":"ses_1","part":{"messageID":"m"}}"#);
    for id in ["--attach=http://x", "-s", "a b", "../a"] {
        let part = r#""part":{"id":"p","messageID":"m","type":"step-start"}"#;
        transcript.push_line(&format!(
            r#"{{"type":"step_start","timestamp":1,"sessionID":"{id}",{part}}}"#
        ));
        transcript.push_line(&format!(
            r#"{{"type":"text","sessionID":"{id}","part":{{"text":"x"}}}}"#
        ));
    }
    assert_eq!(transcript.finish().session_id.as_deref(), Some("ses_1"));
}

/// An agent can write any number. A step of its takes nothing off the others, and the sum stays a number.
#[test]
fn no_step_takes_anything_off_the_bill_of_the_others() {
    let step = |tokens: &str, cost: &str| {
        format!(
            r#"{{"type":"step_finish","timestamp":1,"sessionID":"ses_1","part":{{"messageID":"m","reason":"stop","tokens":{tokens},"cost":{cost}}}}}"#
        )
    };
    let honest = step(
        r#"{"input":10,"output":2,"reasoning":1,"cache":{"read":3,"write":4}}"#,
        "0.5",
    );
    let of = |number: &str| {
        let cache = format!(r#"{{"read":{number},"write":{number}}}"#);
        let tokens =
            format!(r#"{{"input":{number},"output":{number},"reasoning":{number},"cache":{cache}}}"#);
        let mut transcript = Transcript::new();
        transcript.push_line(&honest);
        for _ in 0..1_000 {
            transcript.push_line(&step(&tokens, number));
        }
        transcript.finish()
    };
    let nothing = [
        "-1",
        "-1e30",
        "-1e308",
        "-9223372036854775808",
        "null",
        "\"9\"",
        "[9]",
        "{\"a\":9}",
        "-0.0",
    ];
    let billed = of("0");
    assert_eq!(
        (billed.tokens.input, billed.tokens.output, billed.cost_usd),
        (10.0, 2.0, 0.5)
    );
    for number in nothing {
        let sum = of(number);
        assert_eq!((&sum.tokens, sum.cost_usd), (&billed.tokens, 0.5), "{number}");
    }
    for number in ["1e308", "1.7976931348623157e308", "18446744073709551615"] {
        let sum = of(number);
        for value in [
            sum.tokens.input,
            sum.tokens.output,
            sum.tokens.cache_read,
            sum.cost_usd,
        ] {
            assert!((0.5..1e16).contains(&value), "{number}: {value}");
        }
    }
    // No number of JavaScript's: the line counts as broken, and the others stay.
    assert!(of("1e400").cost_usd >= 0.5);
}
