//! Prints what this machine gives.

fn main() {
    let machine = chaperone_sandbox::probe();
    println!("{:?}", machine.tier());
    for capability in machine.capabilities() {
        println!("{capability:?}");
    }
}
