package pay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// flushEvery is how often what may be lost is written.
const flushEvery = time.Second

// openWait bounds the wait for the lock of a file that another process has.
const openWait = 2 * time.Second

// book is a file with tables of keys and values.
type book struct{ db *bbolt.DB }

func openBook(path string, tables ...string) (book, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: openWait})
	if errors.Is(err, berrors.ErrTimeout) {
		return book{}, fmt.Errorf("%s is in use by another process", path)
	}
	if err != nil {
		return book{}, fmt.Errorf("%s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, t := range tables {
			if _, err := tx.CreateBucketIfNotExists([]byte(t)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return book{}, fmt.Errorf("%s: %w", path, err)
	}
	return book{db}, nil
}

// entry is a value to write; a nil value deletes.
type entry struct {
	table      string
	key, value []byte
}

// write makes all entries durable, or none.
func (b book) write(entries ...entry) error {
	if len(entries) == 0 {
		return nil
	}
	return b.db.Update(func(tx *bbolt.Tx) error {
		for _, e := range entries {
			t := tx.Bucket([]byte(e.table))
			var err error
			if e.value == nil {
				err = t.Delete(e.key)
			} else {
				err = t.Put(e.key, e.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// each visits a table; the bytes are good until f returns.
func (b book) each(table string, f func(key, value []byte) error) error {
	return b.db.View(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(table)).ForEach(f) })
}

// runFlush calls flush every second until the context ends, and once then.
func runFlush(ctx context.Context, flush func() error) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return flush()
		case <-tick.C:
			if err := flush(); err != nil {
				return err
			}
		}
	}
}
