package light

import (
	"net/netip"
	"strings"
)

// maxWitnesses is how many nodes a block of another is compared with. More would
// cost every client more, and one honest one is enough.
const maxWitnesses = 3

// witnesses chooses with whom to compare what the node at addrs[first] says: of
// the others those that are in networks of their own, as far as there are, since
// who runs one node of a network may run them all. With one address only there is
// nobody but that node.
func witnesses(addrs []string, first int) (chosen []int) {
	first %= len(addrs)
	if len(addrs) == 1 {
		return []int{first}
	}
	seen := map[string]bool{network(addrs[first]): true}
	var alike []int
	for i := 1; i < len(addrs); i++ {
		at := (first + i) % len(addrs)
		if n := network(addrs[at]); seen[n] {
			alike = append(alike, at)
		} else {
			seen[n] = true
			chosen = append(chosen, at)
		}
	}
	chosen = append(chosen, alike...)
	return chosen[:min(len(chosen), maxWitnesses)]
}

// network is what an address has in common with others of one owner: the first
// two bytes of IPv4, the first four of IPv6, or the domain of a name, by its
// last two parts.
func network(addr string) string {
	parts := strings.Split(addr, "/")
	if len(parts) < 3 {
		return addr
	}
	if ip, err := netip.ParseAddr(parts[2]); err == nil {
		ip = ip.Unmap().WithZone("")
		bits := 32
		if ip.Is4() {
			bits = 16
		}
		prefix, _ := ip.Prefix(bits) // of no more bits than the address has
		return prefix.String()
	}
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(parts[2]), "."), ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}
