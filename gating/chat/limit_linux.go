package chat

import "syscall"

// limitMemory makes the system refuse this process more memory. RLIMIT_DATA
// counts private writable pages, so what Go only reserves does not matter.
func limitMemory() {
	const rlimitData = 2
	_ = syscall.Setrlimit(rlimitData, &syscall.Rlimit{Cur: maxMemory, Max: maxMemory})
}
