// The streaming side of a kubelet, for tests: exec, attach, logs and port-forward over local processes.
//
// A real kubelet needs a container runtime, and therefore root and a kernel to itself. What a tunnel has to carry,
// however, is only the streaming protocols, and those are upstream's own code here (k8s.io/cri-streaming, the code
// that containerd and CRI-O answer with). A "container" is a process of this machine, started in this program's
// working directory. Container names mean nothing, hence ephemeral containers work like all others.
//
// It runs any command it is told to, so it asks each caller for a certificate of the test bed's own authority.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// The values of the real kubelet: streamingConnectionIdleTimeout and remotecommand's DefaultStreamCreationTimeout.
const (
	idleTimeout           = 4 * time.Hour
	streamCreationTimeout = 30 * time.Second
)

func main() {
	address := flag.String("addr", "127.0.0.1:0", "address to listen on; port 0 takes a free one")
	certificate := flag.String("cert", "", "serving certificate, PEM")
	key := flag.String("key", "", "its private key, PEM")
	clientAuthority := flag.String("client-ca", "", "authority of the callers' certificates, PEM")
	flag.Parse()

	config, err := tlsConfig(*certificate, *key, *clientAuthority)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	// The caller learns the port from this line.
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: routes(), TLSConfig: config}
	log.Fatal(server.ServeTLS(listener, "", ""))
}

func tlsConfig(certificate, key, clientAuthority string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(clientAuthority)
	if err != nil {
		return nil, err
	}
	callers := x509.NewCertPool()
	if !callers.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("no certificate in %s", clientAuthority)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    callers,
		// Upgrades exist in HTTP/1.1 only.
		NextProtos: []string{"http/1.1"},
	}, nil
}

// routes are the paths that the apiserver asks a kubelet for (pkg/registry/core/pod/strategy.go).
func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", serveExec)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", serveAttach)
	mux.HandleFunc("/portForward/{namespace}/{pod}", servePortForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", serveLogs)
	return mux
}

func serveExec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, processes{}, r.PathValue("pod"), "", r.PathValue("container"),
		r.URL.Query()["command"], options, idleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func serveAttach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, attachments{}, r.PathValue("pod"), "", r.PathValue("container"),
		options, idleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func servePortForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, ports{}, r.PathValue("pod"), "",
		options, idleTimeout, streamCreationTimeout, portforward.SupportedProtocols)
}
