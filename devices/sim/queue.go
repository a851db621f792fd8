package sim

// task is something that happens at a time: to a port, a pile, a bike, or the estate.
type task struct {
	at    millis
	order uint64 // tasks of the same time run as they were put in
	plan  *plan  // taskUnsafe
	kept  *Truth // taskSettle
	index int32  // of the pile, or of the bike
	port  int16
	kind  kind
}

type kind uint8

const (
	taskPort   kind = iota // the port's visit goes on to its next stage
	taskArrive             // a bike comes to charge
	taskRefill             // steady: the next bike takes the port
	taskUnsafe             // an unsafe use begins
	taskDeal               // the next unsafe use is drawn
	taskWill               // the broker notices that a pile is silent
	taskOnline             // a pile connects
	taskSettle             // a pile tells an order that it kept
	taskGap                // the fault "gap": a pile loses its network
)

// timed is anything that waits in a queue.
type timed interface {
	when() (at millis, order uint64)
}

func (t task) when() (millis, uint64) { return t.at, t.order }

// queue is a binary heap by time, then by order.
type queue[T timed] []T

func (q queue[T]) less(i, j int) bool {
	at, order := q[i].when()
	at2, order2 := q[j].when()
	return at < at2 || at == at2 && order < order2
}

func (q *queue[T]) push(t T) {
	*q = append(*q, t)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(i, up) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// pop takes the first out; the queue must not be empty.
func (q *queue[T]) pop() T {
	h := *q
	first, last := h[0], len(h)-1
	h[0] = h[last]
	var zero T
	h[last] = zero
	h = h[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down+1 < len(h) && h.less(down+1, down) {
			down++
		}
		if down >= len(h) || !h.less(down, i) {
			*q = h
			return first
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
}
