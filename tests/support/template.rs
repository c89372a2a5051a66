//! `template.yaml`, as the local gateway reads it.

pub use gateway::template::{Function, Template, yaml};

use crate::workspace::{Route, root};

pub fn template() -> Template {
    Template::read(&root().join("template.yaml")).expect("template.yaml")
}

/// The routes of every function, sorted.
pub fn routes(template: &Template) -> Vec<Route> {
    let functions = template.functions().iter();
    let mut routes: Vec<Route> = functions.flat_map(routes_of).collect();
    routes.sort();
    routes
}

/// The routes of one function.
pub fn routes_of(function: &Function) -> impl Iterator<Item = Route> {
    let route = |it: &gateway::template::Route| Route {
        path: it.path.clone(),
        method: it.method.clone(),
        function: function.name.clone(),
    };
    function.routes.iter().map(route)
}
