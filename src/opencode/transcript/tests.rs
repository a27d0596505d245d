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
