//go:build race

package trunk_test

// racing: the detector has pools forget at random, so what is reused is allocated.
const racing = true
