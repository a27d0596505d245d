//! The shared view of the cluster.

mod view;
