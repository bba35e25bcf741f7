//! The command line, under the allocator that audits the memory table.

use std::process::ExitCode;

use tern::memory::allocator::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    tern::cli::main()
}
