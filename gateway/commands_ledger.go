package main

import (
	"fmt"
	"io"

	"pilewatch/gateway/app"
	"pilewatch/gateway/ledger"
)

type verifyCmd struct{}

// maxShown is how many differences are printed.
const maxShown = 50

// Run verifies the ledger.
func (verifyCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	show, end := e.progress("verifying")
	rep, err := app.Verify(e.ctx, cfg, e.options(), show)
	end()
	if err != nil {
		return err
	}
	for i, d := range rep.Differences {
		if i == maxShown {
			fmt.Fprintf(e.stdout, "and %d more\n", len(rep.Differences)-maxShown)
			break
		}
		fmt.Fprintln(e.stdout, d)
	}
	unverified(e.stdout, rep.Report)
	fmt.Fprintf(e.stdout, "%d journal entries read, %d sessions derived again, %d differences\n", rep.Entries, rep.Sessions, len(rep.Differences))
	if rep.Periods > 0 {
		fmt.Fprintf(e.stdout, "%d closed periods with %d lines checked\n", rep.Periods, rep.Lines)
	}
	if n := len(rep.Differences); n > 0 {
		return fmt.Errorf("the ledger has %d differences: do not bill from it before they are understood; restore a backup where a row was changed", n)
	}
	return nil
}

// unverified prints what cannot be verified, and why.
func unverified(out io.Writer, rep ledger.Report) {
	if len(rep.Holes) == 0 {
		return
	}
	for i, line := range rep.Unverified {
		if i == maxShown {
			fmt.Fprintf(out, "and %d more of these\n", len(rep.Unverified)-maxShown)
			break
		}
		fmt.Fprintln(out, "not verified:", line)
	}
	for _, h := range rep.Holes {
		fmt.Fprintln(out, "set aside by repair:", h)
	}
	fmt.Fprintf(out, "%d lines tell of what touches the %d holes, whose readings are gone: they stand as they were written, and are no differences\n", len(rep.Unverified), len(rep.Holes))
}

type repairCmd struct{}

// Help says what it does not do.
func (repairCmd) Help() string {
	return "For a ledger with damaged journal blocks, as a failing disk or memory makes them: run and verify name them. Prefer a backup that has them whole. " +
		"Without one: stop the gateway and run this. It copies the ledger beside itself, sets the damaged blocks aside, and says what they held in time. " +
		"Sessions, bills and flags stay as they are; verify tells those that touch a hole apart from differences; readings of the hole that InfluxDB has not had are lost. " +
		"It does not mend the database file itself (\"database disk image is malformed\"): for that a backup is restored, see pilewatch backup --help."
}

// Run sets damaged blocks aside.
func (repairCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	r, err := ledger.Repair(e.ctx, cfg.DataDir, e.log)
	if r.Copy != "" {
		fmt.Fprintln(e.stdout, "the ledger as it was:", r.Copy)
	}
	for _, h := range r.Holes {
		fmt.Fprintln(e.stdout, "set aside:", h)
	}
	if err != nil {
		return err
	}
	if r.Copy == "" {
		fmt.Fprintln(e.stdout, "every block and checkpoint is whole; nothing was changed")
		return nil
	}
	if r.Closed > 0 {
		fmt.Fprintf(e.stdout, "%d sessions that began in what is missing were closed as lost, quality estimated\n", r.Closed)
	}
	fmt.Fprintln(e.stdout, "the gateway can be started; look for the cause (dmesg, the disk's SMART values, the memory)")
	return nil
}

type backupCmd struct {
	File string `arg:"" help:"File to write; one that exists is not replaced."`
}

// Help tells of the way back.
func (backupCmd) Help() string {
	return "The gateway may run on. The file is the ledger of one instant: checked, on disk, and complete as soon as it has its name. " +
		"To restore it: stop the gateway; move ledger.db, ledger.db-wal and ledger.db-shm out of the data_dir, all of them; copy the file there as ledger.db, " +
		"with the owner and rights of the old one; run pilewatch verify; start the gateway. Consumers such as InfluxDB go on from where they were in the copy, " +
		"and what they get twice changes nothing. What the piles said after the backup comes back only as far as broker or piles still have it, or from a recording by pilewatch replay."
}

// Run copies the ledger.
func (b backupCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	c, err := ledger.Backup(e.ctx, cfg.DataDir, b.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %.1f MB, checked, %d journal blocks, %d of them damaged\n", b.File, float64(c.Bytes)/1e6, c.Blocks, len(c.Damaged))
	if len(c.Damaged) > 0 {
		return fmt.Errorf("the backup is complete, and the ledger has %d damaged blocks: keep the older backups; the first: %w", len(c.Damaged), c.Damaged[0])
	}
	return nil
}
