"""Settings of the rarer result stores, one group each; none of these stores is built in yet."""

from __future__ import annotations

from fastworker.app.settings_registry.setting import Setting, group

CASSANDRA = group(
    "cassandra",
    "CASSANDRA_",
    [
        Setting("entry_ttl", None, "float", "Seconds a row lives; unset: for ever.", low=0),
        Setting("keyspace", None, "str", "Keyspace of the table."),
        Setting("port", None, "any", "Port of the servers."),
        Setting("read_consistency", None, "str", "Consistency level of reads."),
        Setting("servers", None, "list", "Host names."),
        Setting("bundle_path", None, "str", "Secure connect bundle, instead of servers."),
        Setting("table", None, "str", "Table name."),
        Setting("write_consistency", None, "str", "Consistency level of writes."),
        Setting("auth_provider", None, "str", "Authentication class of the driver."),
        Setting(
            "auth_kwargs", None, "any", "Arguments of the authentication class.", is_secret=True
        ),
        Setting("options", {}, "dict", "Options of the driver's Cluster."),
    ],
    note="there is no such result store yet",
)

S3 = group(
    "s3",
    "S3_",
    [
        Setting("access_key_id", None, "str", "Access key.", is_secret=True),
        Setting("secret_access_key", None, "str", "Secret key.", is_secret=True),
        Setting("bucket", None, "str", "Bucket name."),
        Setting("base_path", None, "str", "Key prefix."),
        Setting("endpoint_url", None, "str", "Service URL, for stores other than AWS."),
        Setting("region", None, "str", "Region."),
    ],
    note="there is no such result store yet",
)

AZUREBLOCKBLOB = group(
    "azureblockblob",
    "AZUREBLOCKBLOB_",
    [
        Setting("container_name", "celery", "str", "Container."),
        Setting(
            "retry_initial_backoff_sec", 2, "int", "First pause between attempts, seconds.", low=0
        ),
        Setting("retry_increment_base", 2, "int", "Base of the growth of the pause.", low=0),
        Setting("retry_max_attempts", 3, "int", "Attempts before giving up.", low=0),
        Setting("base_path", "", "str", "Blob name prefix."),
        Setting("connection_timeout", 20, "int", "Seconds to wait for a connection.", low=0),
        Setting("read_timeout", 120, "int", "Seconds to wait for an answer.", low=0),
    ],
    note="there is no such result store yet",
)

GCS = group(
    "gcs",
    "GCS_",
    [
        Setting("bucket", None, "str", "Bucket name."),
        Setting("project", None, "str", "Project name."),
        Setting("base_path", "", "str", "Object name prefix."),
        Setting("ttl", 0, "float", "Seconds an object lives; 0: for ever.", low=0),
    ],
    note="there is no such result store yet",
)

COUCHBASE = group(
    "couchbase",
    "CELERY_COUCHBASE_",
    [Setting("backend_settings", None, "dict", "Options of the store.")],
    note="there is no such result store yet",
)
ARANGODB = group(
    "arangodb",
    "CELERY_ARANGODB_",
    [Setting("backend_settings", None, "dict", "Options of the store.")],
    note="there is no such result store yet",
)
MONGODB = group(
    "mongodb",
    "CELERY_MONGODB_",
    [Setting("backend_settings", None, "dict", "Options of the store.")],
    note="there is no such result store yet",
)

COSMOSDBSQL = group(
    "cosmosdbsql",
    "COSMOSDBSQL_",
    [
        Setting("database_name", "celerydb", "str", "Database."),
        Setting("collection_name", "celerycol", "str", "Collection."),
        Setting("consistency_level", "Session", "str", "Consistency level."),
        Setting("max_retry_attempts", 9, "int", "Attempts before giving up.", low=0),
        Setting("max_retry_wait_time", 30, "int", "Seconds of attempts before giving up.", low=0),
    ],
    note="there is no such result store yet",
)

ELASTICSEARCH = group(
    "elasticsearch",
    "CELERY_ELASTICSEARCH_",
    [
        Setting("retry_on_timeout", None, "bool", "Try again when a node did not answer in time."),
        Setting("max_retries", None, "int", "Attempts before giving up.", low=0),
        Setting("timeout", None, "float", "Seconds to wait for an answer.", low=0),
        Setting(
            "save_meta_as_text",
            True,
            "bool",
            "Store result and traceback as text instead of as objects.",
        ),
    ],
    note="there is no such result store yet",
)

STORES = (
    *CASSANDRA,
    *S3,
    *AZUREBLOCKBLOB,
    *GCS,
    *COUCHBASE,
    *ARANGODB,
    *MONGODB,
    *COSMOSDBSQL,
    *ELASTICSEARCH,
)
