//! `vault_kv_secret` as an ephemeral block: a secret of either KV version that is stored nowhere.
//!
//! The one decision: it is the data source of this name under another promise, so both read with one function.

use mesh_model::{ResourceSchema, Value};
use mesh_sdk::{DataSource as _, EphemeralSource, Opened, ProviderError, Services, async_trait};

use crate::client::Client;
use crate::data::kv_secret;

pub(crate) struct KvSecret;

#[async_trait]
impl EphemeralSource<Client> for KvSecret {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            doc: "A secret of a KV mount, version 1 or 2, for this run alone: neither plan nor state has anything of it. Needs `read` on `<mount>/<name>`, or on `<mount>/data/<name>` for version 2.",
            example: "ephemeral \"vault_kv_secret\" \"hsm\" {\n  mount = \"asm-c1\"\n  name  = \"hsm\"\n}\n",
            ..kv_secret::KvSecret.schema()
        }
    }

    async fn open(&self, client: &Client, config: &Value, _services: &Services) -> Result<Opened, ProviderError> {
        kv_secret::read(client, config).await.map(Opened::value)
    }
}
