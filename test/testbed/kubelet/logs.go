package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// pastLines is how much every container has logged before anybody asks: "line 0" to "line 9".
const pastLines = 10

const logInterval = 100 * time.Millisecond

// serveLogs answers the past lines, or the last tailLines of them, and with follow a further one per interval.
func serveLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	first := 0
	if tail := query.Get("tailLines"); tail != "" {
		lines, err := strconv.Atoi(tail)
		if err != nil || lines < 0 {
			http.Error(w, fmt.Sprintf("tailLines is no count: %q", tail), http.StatusBadRequest)
			return
		}
		first = max(0, pastLines-lines)
	}
	w.Header().Set("Content-Type", "text/plain")
	for line := first; line < pastLines; line++ {
		fmt.Fprintf(w, "line %d\n", line)
	}
	if query.Get("follow") == "true" {
		followLogs(w, r)
	}
}

func followLogs(w http.ResponseWriter, r *http.Request) {
	response := http.NewResponseController(w)
	for line := pastLines; response.Flush() == nil; line++ {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(logInterval):
		}
		fmt.Fprintf(w, "line %d\n", line)
	}
}
