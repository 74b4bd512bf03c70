package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"

	"docent/internal/beir"
)

type evalCmd struct {
	Compare     []string `sep:"none" placeholder:"CONFIG" help:"A configuration, as '[NAME:] KEY=VALUE …', such as 'words: mode=keyword'; a name alone is the defaults. Given several times, each is compared with the first."`
	Set         []string `sep:"none" placeholder:"KEY=VALUE" help:"A setting of every configuration; may be given several times. Keys are retrieval settings and chunks.… as 'docent collections show' lists them, encoder, reranker, model and style."`
	Metric      string   `enum:"ndcg@10,recall@5,recall@10,mrr@10,exact,f1,holds,citation_precision,citation_recall,answered,refusal_precision,refusal_recall" default:"ndcg@10" placeholder:"NAME" help:"What differences and the plot are of: ${enum}."`
	Answers     bool     `help:"Answer the questions of sets that have an answers.jsonl, and measure the answers too."`
	Limit       int      `placeholder:"N" help:"Take at most N queries of each set, drawn with a fixed seed; 0 means all."`
	Differences int      `default:"3" placeholder:"N" help:"List, of each configuration, the N queries that gain most and the N that lose most."`
	Gate        string   `placeholder:"METRIC>=VALUE,…" help:"Fail when a set is below this in any configuration, as in 'recall@5>=.85,citation_precision>=.9'."`
	Plot        string   `type:"path" placeholder:"FILE.svg" help:"Draw the metric of every set and configuration."`
	modelFlags
	Dirs []string `arg:"" name:"dir" help:"Folders with corpus.jsonl, queries.jsonl and qrels/test.tsv."`
}

func (c *evalCmd) Run(ctx context.Context, a *app) error {
	var gates []beir.Gate
	if c.Gate != "" {
		var err error
		if gates, err = beir.ParseGates(c.Gate); err != nil {
			return err
		}
	}
	configurations, err := c.configurations(a)
	if err != nil {
		return err
	}
	sets, err := c.sets()
	if err != nil {
		return err
	}
	run, err := a.newEvalRun(c, configurations)
	if err != nil {
		return err
	}
	done := beir.Evaluation{Metric: beir.Metric(c.Metric), Reports: []beir.Report{}}
	for _, configuration := range configurations {
		done.Configurations = append(done.Configurations, configuration.Configuration)
	}
	stopped := func() error {
		for _, set := range sets {
			for _, configuration := range configurations {
				report, err := run.measure(ctx, set, configuration)
				if len(report.Results) > 0 {
					done.Reports = append(done.Reports, report)
				}
				if err != nil {
					return fmt.Errorf("%s, %s: %w", set.Name, configuration.Name, err)
				}
			}
		}
		return nil
	}()
	// What is done is shown, also when the rest could not be.
	done.Interrupted = stopped != nil
	done.Compare()
	err = errors.Join(stopped, run.close(), c.show(a, &done))
	if stopped == nil {
		err = errors.Join(err, done.Check(gates))
	}
	return err
}

// sets loads all of the folders, so that a broken one is told before anything is measured.
func (c *evalCmd) sets() ([]*beir.Dataset, error) {
	var all []*beir.Dataset
	folders := make(map[string]string)
	for _, dir := range c.Dirs {
		set, err := beir.Load(dir)
		if err != nil {
			return nil, err
		}
		if other, ok := folders[set.Name]; ok {
			return nil, fmt.Errorf("%s and %s: sets are told apart by the names of their folders, which are the same", other, dir)
		}
		folders[set.Name] = dir
		set.Sample(c.Limit)
		all = append(all, set)
	}
	return all, nil
}

// show prints the outcome and draws it.
func (c *evalCmd) show(a *app, e *beir.Evaluation) error {
	var err error
	if a.JSON {
		err = a.printJSON(e)
	} else {
		err = printEvaluation(a.stdout, e, c.Differences)
	}
	if err == nil && c.Plot != "" && len(e.Reports) > 0 {
		err = drawEvaluation(c.Plot, e)
	}
	return err
}

func drawEvaluation(path string, e *beir.Evaluation) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return e.Chart().WriteSVG(f)
}

// progress returns a function that shows how far something is, on a terminal.
func (a *app) progress(what string) func(done, total int) {
	if a.JSON || !isTerminal(a.stderr) {
		return nil
	}
	var bar *progressbar.ProgressBar
	return func(done, total int) {
		if bar == nil {
			bar = progressbar.NewOptions(total,
				progressbar.OptionSetWriter(a.stderr),
				progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(),
				progressbar.OptionSetWidth(24),
				progressbar.OptionClearOnFinish(),
			)
		}
		_ = bar.Set(done)
	}
}

func encoderName(enc encoder) string {
	if enc == nil {
		return "no encoder"
	}
	return enc.Name()
}
