#![no_main]

#[path = "../../tests/it/properties.rs"]
#[allow(dead_code)] // each target has one of them
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(text) = properties::text(bytes) {
        properties::splitter(text);
    }
});
