//! The grammar, its help, completions and manual.
use expect_test::expect;

#[test]
fn the_grammar_is_sound_in_every_corner() {
    <kiln_cli::Arguments as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn help_reads_like_a_product() {
    let mut command = <kiln_cli::Arguments as clap::CommandFactory>::command().term_width(100);
    expect![[r#"
        The build companion for ESPHome: compile on whichever computer is free, flash from here

        Usage: kiln [OPTIONS] <COMMAND>

        Commands:
          serve        Run Kiln: compile for paired computers, and serve the other commands
          stop         Stop the Kiln that runs
          status       What this Kiln does, and why
          pause        Compile nothing for others for a while
          resume       Compile for others again
          identity     The fingerprint that others compare
          discover     Dashboards and Kilns on the network
          pair         Ask a receiver to compile for this computer
          receivers    Computers that compile for this one
          offloaders   Computers that this one compiles for
          window       Whether new offloaders may ask to be paired
          requests     Offloaders that ask to be paired
          approve      Let an offloader that asks use this computer
          reject       Refuse an offloader that asks
          devices      The devices in your ESPHome folder
          ports        Serial ports, and whether devices can be flashed through them
          install      Compile and flash devices
          flash        Flash devices with what is built, without compiling
          compile      Compile devices without flashing
          clean        Remove devices' build files, here and on connected receivers
          jobs         What was built, is being built and waits
          logs         What a job's tools said
          cancel       Stop a job
          build-here   Build on this computer what waits for a receiver, or runs on one
          env          Installed ESPHome versions
          storage      What Kiln keeps on this disk, for whom, and why
          settings     How this Kiln behaves
          audit        What happened here: pairings, sessions, jobs, settings
          import       Take over identity and pairings of a dashboard that is being retired
          completions  Print completions for a shell

        Options:
              --json          Print JSON instead of text, with the names of docs/CLI.md
              --home <DIR>    Keep everything of this Kiln below DIR [env: KILN_HOME]
              --color <WHEN>  When to use colour [default: auto] [possible values: auto, always, never]
          -q, --quiet         Say less
          -v, --verbose...    Say more
          -h, --help          Print help (see more with '--help')
          -V, --version       Print version

        Exit codes: 0 done · 1 refused or failed · 2 not understood · 3 no Kiln is running · 4 waited too
        long · 130 interrupted.
        Start with `kiln serve`; then `kiln discover` and `kiln pair`.
    "#]].assert_eq(&command.render_help().to_string());
}

#[test]
fn every_shell_gets_its_completions_and_the_manual_names_every_verb() {
    let manual = kiln_cli::manual().unwrap();
    let mut command = <kiln_cli::Arguments as clap::CommandFactory>::command();
    for shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut command, "kiln", &mut script);
        assert!(
            String::from_utf8(script).unwrap().contains("build-here"),
            "{shell}"
        );
    }
    for verb in command.get_subcommands().filter(|v| !v.is_hide_set()) {
        let name = verb.get_name().replace('-', "\\-");
        assert!(manual.contains(&name), "{name}");
    }
}
