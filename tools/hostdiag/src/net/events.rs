//! Notifications of links and features, and waiting until there are none.
