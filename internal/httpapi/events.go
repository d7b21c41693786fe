package httpapi

import "net/http"

// eventFormat is how events are written.
type eventFormat int

const (
	serverSent eventFormat = iota // "data: {…}", an empty line, at the end "data: [DONE]"
	jsonLines                     // one JSON value a line
)

// events writes the events of a stream.
type events struct {
	w      http.ResponseWriter
	writer *writer
	format eventFormat
	trace  *trace
	begun  bool // the header is out
}

// all sends events, in one write.
func (e *events) all(values []any) error {
	if len(values) == 0 {
		return nil
	}
	var b []byte
	for _, v := range values {
		text, err := encode(v)
		if err != nil {
			return err
		}
		if e.format == serverSent {
			b = append(b, "data: "...)
		}
		b = append(b, text...) // ends in a line feed
		if e.format == serverSent {
			b = append(b, '\n')
		}
	}
	return e.send(b)
}

// data sends one event.
func (e *events) data(v any) error { return e.all([]any{v}) }

// comment keeps the connection alive.
func (e *events) comment() error {
	if e.format == jsonLines {
		return e.send([]byte(" ")) // before the next line's JSON; clients take an empty line for a broken one
	}
	return e.send([]byte(": waiting\n\n"))
}

// end marks a good end.
func (e *events) end() error {
	if e.format == jsonLines {
		return nil
	}
	return e.send([]byte("data: [DONE]\n\n"))
}

func (e *events) send(b []byte) error {
	if !e.begun {
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream")
		if e.format == jsonLines {
			h.Set("Content-Type", "application/x-ndjson")
		}
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // nginx would hold events back
		h.Set("X-Content-Type-Options", "nosniff")
		// What is known at the end only comes after the stream.
		h.Set("Trailer", timingHeader+", "+routeHeader)
		if r := e.trace.route(); r != "" {
			h.Set(routeHeader, r)
		}
		e.w.WriteHeader(http.StatusOK)
		e.begun = true
	}
	return e.writer.write(b)
}
