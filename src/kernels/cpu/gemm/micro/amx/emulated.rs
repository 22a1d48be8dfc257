//! AMX where the processor has none: a handler of the signal for illegal instructions decodes and carries out the seven
//! instructions that products use. So their very bytes are tested on any machine with AVX-512.

use std::cell::UnsafeCell;
use std::sync::Once;

/// Carries out a thread's tile instructions from now on. Any other illegal instruction still ends the process.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the structure is plain numbers; the handler only reads and writes what the instruction would, and its
        // thread's own state, which needs no memory to be made.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = refused as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
            assert_eq!(libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut()), 0);
        }
    });
}

/// What a thread's tile unit holds.
struct State {
    ready: bool,
    tiles: [[[u32; 16]; 16]; 8],
}

thread_local! {
    static STATE: UnsafeCell<State> = const { UnsafeCell::new(State { ready: false, tiles: [[[0; 16]; 16]; 8] }) };
}

/// An instruction with the prefix `C4`, by its fields.
struct Instruction {
    pp: u8,
    opcode: u8,
    modrm: u8,
    /// The register of the prefix.
    third: usize,
    /// Bytes.
    length: usize,
    /// Where its operand in memory begins, and the bytes from a row to the next.
    memory: Option<(usize, usize)>,
}

extern "C" fn refused(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system hands over a context of this type, whose instruction pointer stands at the refused instruction.
    let done = unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize];
        let decoded = decode(at as *const u8, registers);
        let length = decoded.filter(|i| STATE.with(|state| execute(i, &mut *state.get()))).map(|i| i.length);
        registers[libc::REG_RIP as usize] += length.unwrap_or(0) as i64;
        length.is_some()
    };
    if !done {
        // SAFETY: the default action ends the process as soon as the instruction is tried again.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// # Safety
/// `at` must point to an instruction.
unsafe fn decode(at: *const u8, registers: &[i64; 23]) -> Option<Instruction> {
    const NUMBERED: [libc::c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    // SAFETY: each byte is read only when those before it say that it belongs to the instruction.
    let byte = |i: usize| unsafe { *at.add(i) };
    let value = |number: u8| registers[NUMBERED[number as usize] as usize] as usize;
    // Map 0F38, 128 bits, W0, no extended destination.
    if byte(0) != 0xc4 || byte(1) & 0x9f != 0x82 || byte(2) & 0x84 != 0 {
        return None;
    }
    let (x, b) = (byte(1) >> 6 & 1 ^ 1, byte(1) >> 5 & 1 ^ 1);
    let (pp, third) = (byte(2) & 3, (byte(2) >> 3 & 15 ^ 15) as usize);
    let (opcode, modrm) = (byte(3), byte(4));
    let (mode, low) = (modrm >> 6, modrm & 7);
    let mut length = 5;
    let memory = if mode == 3 {
        None
    } else {
        let (mut base, mut step) = (low | b << 3, 0);
        if low == 4 {
            let sib = byte(length);
            length += 1;
            let index = sib >> 3 & 7 | x << 3;
            step = if index == 4 { 0 } else { value(index) << (sib >> 6) };
            base = sib & 7 | b << 3;
        }
        if mode == 0 && base & 7 == 5 {
            return None; // no base register: the tiles never ask for that
        }
        let offset = match mode {
            0 => 0,
            1 => byte(length) as i8 as isize,
            _ => i32::from_le_bytes([byte(length), byte(length + 1), byte(length + 2), byte(length + 3)]) as isize,
        };
        length += [0, 1, 4][mode as usize];
        Some((value(base).wrapping_add_signed(offset), step))
    };
    Some(Instruction { pp, opcode, modrm, third, length, memory })
}

/// Whether it was one of the seven.
///
/// # Safety
/// Its operand in memory must be what the instruction says.
unsafe fn execute(i: &Instruction, state: &mut State) -> bool {
    let (reg, rm) = ((i.modrm >> 3 & 7) as usize, (i.modrm & 7) as usize);
    // `ldtilecfg` and `tilerelease` make every other instruction legal, or illegal.
    match (i.pp, i.opcode, i.memory) {
        (0, 0x49, Some((at, 0))) => {
            // SAFETY: 64 bytes are the instruction's operand.
            let wanted = unsafe { std::slice::from_raw_parts(at as *const u8, 64) };
            let shape = (0..8).all(|t| wanted[16 + 2 * t..][..2] == [64, 0] && wanted[48 + t] == 16);
            *state = State { ready: true, tiles: [[[0; 16]; 16]; 8] };
            return wanted[0] == 1 && wanted[1..16] == [0; 15] && shape;
        }
        (0, 0x49, None) if i.modrm == 0xc0 => {
            state.ready = false;
            return true;
        }
        _ if !state.ready => return false,
        (3, 0x49, None) => state.tiles[reg] = [[0; 16]; 16],
        // `tileloadd`, and `tileloaddt1` with its hint to the caches
        (3 | 1, 0x4b, Some((at, step))) => {
            for (r, row) in state.tiles[reg].iter_mut().enumerate() {
                // SAFETY: a row of 16 lanes is the instruction's operand, wherever it stands.
                *row = unsafe { (at.wrapping_add(r.wrapping_mul(step)) as *const [u32; 16]).read_unaligned() };
            }
        }
        (2, 0x4b, Some((at, step))) => {
            for (r, row) in state.tiles[reg].iter().enumerate() {
                // SAFETY: as above.
                unsafe { (at.wrapping_add(r.wrapping_mul(step)) as *mut [u32; 16]).write_unaligned(*row) };
            }
        }
        // An instruction that names a tile twice is illegal.
        (2, 0x5c, None) if reg != rm && rm != i.third && reg != i.third => multiply(state, reg, rm, i.third),
        _ => return false,
    }
    true
}

/// Intel's pseudocode of `tdpbf16ps`: even and odd products summed apart, rounded to nearest at each step, subnormal numbers
/// taken for zero.
fn multiply(state: &mut State, sum: usize, a: usize, b: usize) {
    fn normal(x: f32) -> f32 {
        if x.is_subnormal() { 0.0f32.copysign(x) } else { x }
    }
    let (left, right) = (state.tiles[a], state.tiles[b]);
    for (sums, left) in state.tiles[sum].iter_mut().zip(left) {
        for (n, total) in sums.iter_mut().enumerate() {
            let mut partial = [0.0f32; 2];
            for (a, b) in left.iter().zip(right.map(|row| row[n])) {
                let pair = |lane: u32| [lane << 16, lane & 0xffff_0000].map(|bits| normal(f32::from_bits(bits)));
                let ([a0, a1], [b0, b1]) = (pair(*a), pair(b));
                partial = [normal(a0.mul_add(b0, partial[0])), normal(a1.mul_add(b1, partial[1]))];
            }
            let both = normal(partial[0] + partial[1]);
            *total = normal(normal(f32::from_bits(*total)) + both).to_bits();
        }
    }
}
