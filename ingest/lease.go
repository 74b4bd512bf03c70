package ingest

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

// alone runs fn while no other process that shares the record runs something under the same name. It waits for
// its turn. The context of fn ends with ctx, and when the turn has passed to another process because the record
// could not be reached for too long; then alone waits again.
func (p *Pipeline) alone(ctx context.Context, name string, fn func(context.Context) error) error {
	owner := uuid.NewString()
	for waited := false; ; {
		mine, err := p.store.Catalog().TakeLease(ctx, name, owner, p.lease())
		if err != nil {
			return err
		}
		if !mine {
			if !waited {
				p.cfg.Logger.WarnContext(ctx, "another process does this; when it ends this one goes on", "what", name)
			}
			waited = true
			if sleep(ctx, p.cfg.Heartbeat) != nil {
				return nil
			}
			continue
		}
		waited = false
		held, lose := context.WithCancelCause(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { p.renew(held, name, owner, lose) })
		err = fn(held)
		lost := context.Cause(held) == errLost
		lose(nil)
		wg.Wait()
		if !lost || ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			if err := p.store.Catalog().GiveLease(last, name, owner); err != nil {
				p.cfg.Logger.WarnContext(ctx, "others wait until a lease is over", "name", name, "error", err)
			}
			return err
		}
	}
}

// renew keeps a lease until ctx ends, or calls lose when it is lost.
func (p *Pipeline) renew(ctx context.Context, name, owner string, lose context.CancelCauseFunc) {
	failed := 0
	for sleep(ctx, p.cfg.Heartbeat) == nil {
		mine, err := p.store.Catalog().TakeLease(ctx, name, owner, p.lease())
		if err == nil {
			failed = 0
		} else {
			failed++
		}
		if err == nil && !mine || failed == 3 {
			lose(errLost)
			return
		}
	}
}

// leaseOfWatch names the work of keeping a collection in step with a folder.
func leaseOfWatch(collection, folder string) string {
	return fmt.Sprintf("watch %q %q", collection, folder)
}
