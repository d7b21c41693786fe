package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for 127.0.0.1 that vouches for itself, in
// files.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
	pool = x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s: %v", text, err)
	}
	return cert, key, pool
}

// TestTLS: a node with a certificate answers over HTTPS and not without.
func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	n := exec.Command(built(t), "node", "--ephemeral", "--while-stdin", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--http", "127.0.0.1:0", "--model", "demo", "--gate", "--tls-cert", cert, "--tls-key", key)
	stdin, err := n.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	url := startNode(t, n)
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = n.Wait()
	})
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("it says that it listens at %s", url)
	}
	post := func(url string, cfg *tls.Config) (status int, text string, err error) {
		transport := &http.Transport{TLSClientConfig: cfg}
		defer transport.CloseIdleConnections()
		r, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Post(url+"/v1/chat/completions", "application/json",
			strings.NewReader(`{"messages":[{"role":"user","content":"func main() {"}],"max_tokens":3,"stream":true}`))
		if err != nil {
			return 0, "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return r.StatusCode, string(b), err
	}
	if status, text, err := post(url, &tls.Config{RootCAs: pool}); err != nil || status != 200 || !strings.HasSuffix(text, "data: [DONE]\n\n") {
		t.Errorf("%d, %s, %v", status, text, err)
	}
	if _, _, err := post(url, &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
		t.Error("a client took a certificate that nobody it knows vouches for")
	}
	if _, _, err := post(url, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if status, text, err := post("http"+strings.TrimPrefix(url, "https"), nil); err == nil && status != 400 {
		t.Errorf("without TLS: %d, %s", status, text)
	}
	status := exec.Command(built(t), "status", "--node", url)
	status.Env = append(os.Environ(), "SSL_CERT_FILE="+cert)
	if out, err := status.CombinedOutput(); err != nil || !strings.Contains(string(out), "demo") {
		t.Errorf("status: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"--tls-cert", cert}, {"--tls-cert", key, "--tls-key", key}, {"--tls-cert", cert, "--tls-key", "none.pem"}} {
		if _, stderr, err := runBinary(t, append([]string{"node", "--ephemeral", "--http", "127.0.0.1:0"}, args...)...); err == nil || !strings.Contains(stderr, "--tls-cert") {
			t.Errorf("%q: %v, %s", args, err, stderr)
		}
	}
}
