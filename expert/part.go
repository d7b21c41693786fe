package expert

import "context"

// firstRow is where a context carries which row of a batch comes first in a part of
// it.
type firstRow struct{}

// WithFirstRow gives the context of a batch to the part of it that begins with a row,
// for whoever remembers anything of the batch by its rows.
func WithFirstRow(ctx context.Context, row int) context.Context {
	return context.WithValue(ctx, firstRow{}, row)
}

// FirstRow is the row of the whole that is the first of what the context belongs to;
// 0 where that is the whole.
func FirstRow(ctx context.Context) int {
	row, _ := ctx.Value(firstRow{}).(int)
	return row
}
