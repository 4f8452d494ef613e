//! Auth methods: engines mounted below `auth/`, one folder each.
