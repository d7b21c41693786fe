package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/moeswarm/moeswarm/gating/prompt"
)

// errLeaving ends the answers that outlast the grace time.
var errLeaving = errors.New("this node is shutting down")

// apiError is an error as a client sees it.
type apiError struct {
	status  int
	code    string // for programs; may be empty
	param   string // the field at fault; may be empty
	message string
	retry   time.Duration // when trying again makes sense; 0: nothing is known
}

func (e *apiError) Error() string { return e.message }

// badField says what is wrong with a field of the request.
func badField(param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "invalid_value", param: param, message: param + ": " + message}
}

const (
	// retryBusy: a short answer takes this long, so a place may be free.
	retryBusy = 3 * time.Second
	// retrySwarm: a node that joins is known to all within about this time.
	retrySwarm = 10 * time.Second
	// maxRetry bounds what a gating node may say: nobody knows further ahead.
	maxRetry = 10 * time.Minute
)

// explain turns any error of a Completer into one for the client.
func explain(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	e := &apiError{status: http.StatusServiceUnavailable, message: err.Error()}
	switch {
	case errors.Is(err, prompt.ErrBadRequest):
		e.status, e.code = http.StatusBadRequest, "bad_request"
	case errors.Is(err, prompt.ErrUnknownModel):
		e.status, e.code, e.param = http.StatusNotFound, "model_not_found", "model"
	case errors.Is(err, prompt.ErrUnpaid):
		e.status, e.code = http.StatusPaymentRequired, "payment_required"
	case errors.Is(err, prompt.ErrBusy):
		e.status, e.code, e.retry = http.StatusTooManyRequests, "busy", retryBusy
		// The swarm is busy, not this client too quick.
		if busy, ok := errors.AsType[*prompt.BusyError](err); ok {
			e.status = http.StatusServiceUnavailable
			if busy.Wait > 0 {
				e.retry = min(busy.Wait, maxRetry)
			}
		}
	case errors.Is(err, prompt.ErrNoGate):
		e.code, e.retry = "no_gating_node", retrySwarm
	case errors.Is(err, prompt.ErrNotMember):
		e.code, e.retry = "no_gating_node", retrySwarm
	case errors.Is(err, prompt.ErrMissingExperts):
		e.code, e.retry = "missing_experts", retrySwarm
	case errors.Is(err, prompt.ErrLost):
		e.code, e.retry = "gating_node_lost", retryBusy
	case errors.Is(err, errLeaving):
		e.code = "shutting_down"
	default:
		e.status, e.code = http.StatusInternalServerError, "internal_error"
	}
	return e
}

// kind is OpenAI's "type" of an error.
func (e *apiError) kind() string {
	switch {
	case e.status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case e.status == http.StatusUnauthorized:
		return "authentication_error"
	case e.status >= 500:
		return "server_error"
	default:
		return "invalid_request_error"
	}
}

// body is the error in OpenAI's shape.
func (e *apiError) body() any {
	type fields struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	f := fields{Message: e.message, Type: e.kind()}
	if e.param != "" {
		f.Param = &e.param
	}
	if e.code != "" {
		f.Code = &e.code
	}
	return struct {
		Error fields `json:"error"`
	}{f}
}

// cause is why the server itself cancelled the work on a request; nil when the
// client did, who then waits for no reason.
func cause(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errLeaving) {
		return errLeaving
	}
	return nil
}
