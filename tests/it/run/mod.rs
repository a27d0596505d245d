//! Parts of a run against an API server inside the test.

mod bill;
mod judgement;
mod observe;
mod stages;
mod submit;
