//! Persistent configuration for what was repaired, as the site's manager reads it.
