// A reverse tunnel by github.com/rancher/remotedialer, for the bench: what Rancher carries its clusters' traffic with.
//
//	remotedialer server --listen ADDR --cert FILE --key FILE --front ADDR --origin ADDR
//	remotedialer client --server ADDR --ca FILE
//
// The client dials out to the server by a WebSocket over TLS. Each TCP connection to the server's front is dialled
// to the origin by the client, through that WebSocket.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rancher/remotedialer"
	"github.com/sirupsen/logrus"
)

const clientKey = "bench"

var (
	listen = flag.String("listen", "", "where the server listens for the client")
	cert   = flag.String("cert", "", "the server's certificate")
	key    = flag.String("key", "", "the server's key")
	front  = flag.String("front", "", "where the server listens for the load")
	origin = flag.String("origin", "", "what the client dials")
	server = flag.String("server", "", "the server's address")
	ca     = flag.String("ca", "", "who signed the server's certificate")
)

func main() {
	role := os.Args[1]
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
	logrus.SetLevel(logrus.WarnLevel)
	if role == "server" {
		log.Fatal(serve())
	}
	log.Fatal(dialOut())
}

func serve() error {
	authorize := func(*http.Request) (string, bool, error) { return clientKey, true, nil }
	handler := remotedialer.New(authorize, remotedialer.DefaultErrorWriter)
	listener, err := net.Listen("tcp", *front)
	if err != nil {
		return err
	}
	go accept(listener, handler.Dialer(clientKey))
	return http.ListenAndServeTLS(*listen, *cert, *key, handler)
}

func accept(listener net.Listener, dial remotedialer.Dialer) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go carry(connection, dial)
	}
}

func carry(near net.Conn, dial remotedialer.Dialer) {
	defer near.Close()
	far, err := dial(context.Background(), "tcp", *origin)
	if err != nil {
		log.Print(err)
		return
	}
	defer far.Close()
	ended := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		ended <- struct{}{}
	}
	go pipe(near, far)
	go pipe(far, near)
	<-ended
}

func dialOut() error {
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := &websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: roots}, HandshakeTimeout: 10 * time.Second}
	untilListens(*server)
	mayDial := func(_, address string) bool { return true }
	return remotedialer.ClientConnect(context.Background(), "wss://"+*server+"/", nil, dialer, mayDial, nil)
}

// The library waits for 5 s after an attempt in vain.
func untilListens(address string) {
	for {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
