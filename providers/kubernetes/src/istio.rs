//! What a running istiod writes into its own webhooks.
//!
//! Rendered charts start the validating webhook open (`failurePolicy: Ignore`) and with an empty
//! `caBundle`; istiod closes it and fills the bundle in once it runs. Both stay istiod's.

use mesh_model::Value;
use serde_json::Value as Json;

fn is_istiod_webhook(manifest: &Value) -> bool {
    let kind = manifest.get_str("kind").unwrap_or("");
    let labels = manifest.get("metadata").and_then(|m| m.get("labels"));
    kind.ends_with("WebhookConfiguration")
        && labels.is_some_and(|l| l.get("istio.io/rev").is_some() || l.get_str("app") == Some("istiod"))
}

/// The manifest without what istiod has taken over; `live` is what is there.
pub(crate) fn yielded(manifest: &Value, live: Option<&Json>) -> Value {
    if !is_istiod_webhook(manifest) {
        return manifest.clone();
    }
    let Some(webhooks) = manifest.get("webhooks").and_then(Value::as_items) else { return manifest.clone() };
    let there = |name: Option<&str>| {
        let all = live?.get("webhooks")?.as_array()?;
        all.iter().find(|w| w["name"].as_str() == name)
    };
    let webhooks = webhooks.iter().map(|webhook| {
        let live = there(webhook.get_str("name"));
        let mut out = webhook.clone();
        if webhook.get_str("failurePolicy") == Some("Ignore") && live.is_some_and(|l| l["failurePolicy"] == "Fail") {
            out = out.with("failurePolicy", Value::NULL);
        }
        if let Some(client) = webhook.get("clientConfig").filter(|c| c.get_str("caBundle") == Some("")) {
            out = out.with("clientConfig", client.with("caBundle", Value::NULL));
        }
        out
    });
    manifest.with("webhooks", Value::tuple(webhooks.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_model::json::from_json;
    use serde_json::json;

    #[test]
    fn only_what_istiod_took_over_is_left_out() {
        let wanted =
            from_json(&json!({"kind":"ValidatingWebhookConfiguration","metadata":{"labels":{"istio.io/rev":"x"}},
            "webhooks":[{"name":"a","failurePolicy":"Ignore","clientConfig":{"caBundle":"","url":"u"}}]}));
        let webhook = |live: &Json| crate::secret::body(&yielded(&wanted, Some(live)))["webhooks"][0].clone();
        assert_eq!(
            webhook(&json!({"webhooks":[{"name":"a","failurePolicy":"Fail"}]})),
            json!({"name":"a","clientConfig":{"url":"u"}})
        );
        assert_eq!(webhook(&json!({"webhooks":[{"name":"a","failurePolicy":"Ignore"}]}))["failurePolicy"], "Ignore");
    }
}
