//! Java in a session: its proxy, and the certificates that it trusts.

use super::tools::{HOST, in_a_line, stage};
use crate::place::Place;
use anyhow::Result;
use std::fs;

/// Both clients that Java has.
const GET: &str = r#"
import java.net.*;
import java.net.http.*;

public class Get {
    public static void main(String[] words) throws Exception {
        URI at = new URI(words[1]);
        HttpURLConnection old = (HttpURLConnection) at.toURL().openConnection();
        old.setRequestMethod(words[0]);
        System.out.println("old " + old.getResponseCode());
        HttpRequest request = HttpRequest.newBuilder(at)
            .method(words[0], HttpRequest.BodyPublishers.noBody()).build();
        HttpResponse<String> response =
            HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println("new " + response.statusCode() + " "
            + response.body().lines().findFirst().orElse(""));
    }
}
"#;

fn with_java(place: &Place) -> Result<()> {
    Ok(fs::write(place.work().join("Get.java"), GET)?)
}

#[test]
fn java_goes_through_the_proxy_and_trusts_what_the_session_does() -> Result<()> {
    let (place, port, hosts) = stage()?;
    with_java(&place)?;
    in_a_line(
        &place,
        &hosts,
        &format!(
            "java Get.java GET https://{HOST}:{port}/hello 2>/dev/null; \
             JAVA_TOOL_OPTIONS=${{JAVA_TOOL_OPTIONS% *}} java Get.java GET \
             https://{HOST}:{port}/hello 2>&1 | grep -om1 'PKIX path building failed' | head -n 1"
        ),
        "old 200\nnew 200 hello\nPKIX path building failed\n",
    )
}

#[test]
fn java_trusts_the_authority_of_a_session_that_opens_tls() -> Result<()> {
    let (place, port, hosts) = stage()?;
    with_java(&place)?;
    let policy = place.home().join(".config/chaperone/config.toml");
    let before = fs::read_to_string(&policy)?;
    place.configure(&format!(
        "{before}[[network.rule]]\nhost = \"{HOST}\"\nmethods = [\"DELETE\"]\ndecision = \"deny\"\n"
    ))?;
    in_a_line(
        &place,
        &hosts,
        &format!(
            "for method in GET DELETE; do \
             java Get.java $method https://{HOST}:{port}/hello 2>/dev/null; done; \
             store=${{JAVA_TOOL_OPTIONS##*trustStore=\\\"}}; unset JAVA_TOOL_OPTIONS; \
             keytool -list -keystore ${{store%\\\"}} -storepass changeit | \
             grep -c trustedCertEntry | sed 's/^[0-9][0-9]\\+$/many/'"
        ),
        &format!(
            "old 200\nnew 200 hello\nold 403\n\
             new 403 chaperone: denied: the request DELETE {HOST}:{port}/hello\nmany\n"
        ),
    )
}
