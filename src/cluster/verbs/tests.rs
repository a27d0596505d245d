use super::*;
use tokio::time::Instant;

#[test]
fn the_texts_of_warnings_are_read() {
    let mut headers = HeaderMap::new();
    let said = r#"299 - "would violate PodSecurity \"restricted:latest\": runAsNonRoot != true""#;
    headers.append(WARNING, said.parse().expect("a header"));
    headers.append(WARNING, "299 -".parse().expect("a header"));
    let expected = r#"would violate PodSecurity "restricted:latest": runAsNonRoot != true"#;
    assert_eq!(warnings(&headers), [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_repeated_while_the_api_server_may_be_starting() {
    let refused = || ClusterError::Api {
        verb: "list",
        on: "jobs".to_owned(),
        code: 403,
        reason: "Forbidden".to_owned(),
        message: "User \"u\" cannot list resource \"jobs\"".to_owned(),
    };
    let since = Instant::now();
    let passes = || async move {
        if since.elapsed() < Duration::from_secs(2) {
            Err(refused())
        } else {
            Ok(())
        }
    };
    let limit = Duration::from_secs(15);
    assert!(retry_required(limit, "list", "jobs", passes).await.is_ok());
    let since = Instant::now();
    let stays = retry_required(limit, "list", "jobs", || {
        std::future::ready(Err::<(), _>(refused()))
    })
    .await;
    assert!(stays.is_err_and(|error| error.is_forbidden()) && since.elapsed() <= UNREADY_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_takes_no_longer_than_its_limit() {
    let since = Instant::now();
    let hangs = || call::<()>("delete", "job/x", std::future::pending());
    let short = retry_transient(Duration::from_secs(4), "delete", "job/x", hangs).await;
    assert!(short.is_err_and(|error| error.is_transient()));
    assert_eq!(since.elapsed().as_secs(), 4);
    let long = retry_transient(Duration::from_secs(40), "delete", "job/x", hangs).await;
    assert!(long.is_err_and(|error| error.to_string().contains("cannot delete job/x")));
    assert_eq!(since.elapsed().as_secs(), 44);
}
