package main

import (
	"context"
	"io"
	"net"
	"strconv"
)

// ports forwards to the same port of this machine.
type ports struct{}

// PortForward returns when both directions have ended; each may end before the other. Errors after the connection
// stands are the two ends' own affair: reporting them would make kubectl give up the other connections as well.
func (ports) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer connection.Close()
	towardsPod := make(chan struct{})
	go func() {
		defer close(towardsPod)
		_, _ = io.Copy(connection, stream)
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(stream, connection)
	_ = stream.Close()
	<-towardsPod
	return nil
}
