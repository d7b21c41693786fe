//go:build !race

package trunk_test

const racing = false
