//! What requests cost in the cloud. See docs/operations.md for the sources of the prices and what they leave out.

/// US dollars.
const GB_SECOND_ON_ARM64: f64 = 0.000_013_333_4;
const MILLION_INVOCATIONS: f64 = 0.20;

/// What API Gateway takes for a million requests, in US dollars.
pub const MILLION_GATEWAY_REQUESTS: f64 = 1.00;

/// What a million invocations of a function cost that take so long and have so many MB of memory, in US dollars.
pub fn of_million_invocations(milliseconds: f64, memory: f64) -> f64 {
    MILLION_INVOCATIONS + of_duration(milliseconds, memory)
}

/// Durations are rounded up to the millisecond.
fn of_duration(milliseconds: f64, memory: f64) -> f64 {
    1e6 * milliseconds.ceil() / 1000.0 * memory / 1024.0 * GB_SECOND_ON_ARM64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_gigabyte_seconds_cost_the_list_price() {
        assert!((of_duration(1000.0, 1024.0) - 13.3334).abs() < 1e-9);
        assert!((of_duration(0.2, 1024.0) - of_duration(1.0, 1024.0)).abs() < 1e-9);
    }
}
