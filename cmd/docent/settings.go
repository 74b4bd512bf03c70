package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"docent/ingest"
)

type collectionsShowCmd struct {
	Name string `arg:"" help:"The collection."`
}

func (c *collectionsShowCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.collection(ctx, c.Name); err != nil {
		return err
	}
	s, err := ingest.ReadSettings(ctx, l.store, c.Name)
	if err != nil {
		return err
	}
	return a.printSettings(s)
}

type collectionsSetCmd struct {
	Name    string   `arg:"" help:"The collection."`
	Setting []string `arg:"" name:"key=value" help:"Settings, as 'docent collections show' lists them."`
}

func (c *collectionsSetCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.collection(ctx, c.Name); err != nil {
		return err
	}
	s, err := ingest.ChangeSettings(ctx, l.store, c.Name, func(s *ingest.Settings) error {
		for _, pair := range c.Setting {
			key, value, ok := strings.Cut(pair, "=")
			if !ok {
				return fmt.Errorf("%q: want key=value, such as ocr=off", pair)
			}
			if err := s.Set(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.printSettings(s)
}

func (a *app) printSettings(s ingest.Settings) error {
	if a.JSON {
		return a.printJSON(s)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tVALUES\tWHAT IT DOES")
	for _, f := range s.List() {
		fmt.Fprintf(w, "%s\t%v\t%s\t%s\n", f.Key, f.Value, strings.Join(f.Values, " "), f.Help)
	}
	return w.Flush()
}
