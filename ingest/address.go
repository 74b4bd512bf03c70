package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An addressGuard makes connections to public addresses only. It judges the address at the moment of
// connecting, after the name was resolved, so that neither a redirect nor a name that resolves to another
// address the second time (DNS rebinding) gets around it.
type addressGuard struct {
	open  bool     // any address and any port
	hosts []string // connected to wherever they lead; see FetchConfig.AllowHosts

	resolver *net.Resolver
}

// webPorts are those that are connected to on public addresses. Others may belong to services that take
// an HTTP request for one of their own.
var webPorts = []uint16{80, 443, 8080, 8443}

// insideNetworks are the address blocks that the public internet does not route, from the IANA registries
// of special-purpose addresses (RFC 6890 and its updates), and those that carry an IPv4 address within:
// what reads them may unwrap it and arrive inside after all.
var insideNetworks = func() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"::/96",                          // unspecified, loopback, IPv4-compatible
		"::ffff:0:0/96",                  // IPv4-mapped
		"::ffff:0:0:0/96",                // IPv4-translated
		"64:ff9b::/96", "64:ff9b:1::/48", // NAT64
		"100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
		"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}()

// publicAddress reports whether a is one that anyone on the internet could be meant to reach.
func publicAddress(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	if a.Is4In6() {
		a = a.Unmap() // the same host by another spelling
	}
	return !slices.ContainsFunc(insideNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// dial is a DialContext for an http.Transport.
func (g *addressGuard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second, Resolver: g.resolver}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !g.open && !g.allows(host) {
		d.ControlContext = func(_ context.Context, _, connecting string, _ syscall.RawConn) error {
			return checkAddress(connecting)
		}
	}
	return d.DialContext(ctx, network, address)
}

// allows reports whether a host is one that is connected to wherever it leads.
func (g *addressGuard) allows(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(g.hosts, func(h string) bool {
		h = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(h)), ".")
		if below, ok := strings.CutPrefix(h, "*"); ok {
			return strings.HasPrefix(below, ".") && strings.HasSuffix(host, below)
		}
		return h == host
	})
}

// checkAddress judges an address and port, as given to connect.
func checkAddress(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !publicAddress(ap.Addr()) {
		return fmt.Errorf("%w: it leads to an address that is not public", ErrAddress)
	}
	if !slices.Contains(webPorts, ap.Port()) {
		return fmt.Errorf("%w: only the ports 80, 443, 8080 and 8443 are allowed", ErrAddress)
	}
	return nil
}

// client returns an HTTP client whose connections the guard makes.
func (g *addressGuard) client(timeout time.Duration) *http.Client {
	t := &http.Transport{
		DialContext: g.dial, ForceAttemptHTTP2: true, MaxIdleConns: 16, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second, MaxResponseHeaderBytes: 1 << 20,
	}
	if g.open {
		// A proxy connects where it likes, so that the guard would be judging the proxy's address alone.
		t.Proxy = http.ProxyFromEnvironment
	}
	return &http.Client{Transport: t, Timeout: timeout, CheckRedirect: checkRedirect}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return checkURL(req.URL)
}

// checkURL refuses what no client should be asked.
func checkURL(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: its scheme is %q, want http or https", ErrAddress, u.Scheme)
	case host == "":
		return fmt.Errorf("%w: it names no host", ErrAddress)
	case u.User != nil:
		return fmt.Errorf("%w: it holds a user name", ErrAddress)
	case strings.Contains(host, "%"): // fe80::1%eth0
		return fmt.Errorf("%w: it names a network interface", ErrAddress)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%w: it has no such port as %s", ErrAddress, p)
		}
	}
	return nil
}

// explainFetch says in a user's words why a request failed.
func explainFetch(err error, timeout time.Duration) error {
	if errors.Is(err, ErrAddress) {
		for {
			// Down to the guard's own words: what is around them names the address inside.
			inner := errors.Unwrap(err)
			if inner == nil || !errors.Is(inner, ErrAddress) || inner == ErrAddress {
				return err
			}
			err = inner
		}
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return fmt.Errorf("%w: no complete answer within %v", ErrFetch, timeout)
	}
	return fmt.Errorf("%w: %w", ErrFetch, unwrapURL(err))
}

// unwrapURL drops the address that package http puts before its errors; it may hold secrets.
func unwrapURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
