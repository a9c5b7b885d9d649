//! The names that PowerShell has of its own: cmdlets, aliases, methods that start nothing.

/// Who carries a name out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// PowerShell, wherever it runs.
    Shell,
    /// PowerShell or a program: an alias of Windows PowerShell alone, or on Windows alone.
    Either,
    /// A program, or a command of some module.
    Program,
}

/// Aliases that every PowerShell has.
const ALIASES: &[(&str, &str)] = &[
    ("%", "foreach-object"),
    ("?", "where-object"),
    ("cd", "set-location"),
    ("chdir", "set-location"),
    ("clc", "clear-content"),
    ("clhy", "clear-history"),
    ("cli", "clear-item"),
    ("clp", "clear-itemproperty"),
    ("cls", "clear-host"),
    ("clv", "clear-variable"),
    ("copy", "copy-item"),
    ("cpi", "copy-item"),
    ("cvpa", "convert-path"),
    ("dbp", "disable-psbreakpoint"),
    ("del", "remove-item"),
    ("dir", "get-childitem"),
    ("ebp", "enable-psbreakpoint"),
    ("echo", "write-output"),
    ("epal", "export-alias"),
    ("epcsv", "export-csv"),
    ("erase", "remove-item"),
    ("etsn", "enter-pssession"),
    ("exsn", "exit-pssession"),
    ("fc", "format-custom"),
    ("fhx", "format-hex"),
    ("fl", "format-list"),
    ("foreach", "foreach-object"),
    ("ft", "format-table"),
    ("fw", "format-wide"),
    ("gal", "get-alias"),
    ("gbp", "get-psbreakpoint"),
    ("gc", "get-content"),
    ("gci", "get-childitem"),
    ("gcm", "get-command"),
    ("gcs", "get-pscallstack"),
    ("gdr", "get-psdrive"),
    ("ghy", "get-history"),
    ("gi", "get-item"),
    ("gjb", "get-job"),
    ("gl", "get-location"),
    ("gm", "get-member"),
    ("gmo", "get-module"),
    ("gp", "get-itemproperty"),
    ("gps", "get-process"),
    ("gpv", "get-itempropertyvalue"),
    ("group", "group-object"),
    ("gsn", "get-pssession"),
    ("gu", "get-unique"),
    ("gv", "get-variable"),
    ("h", "get-history"),
    ("history", "get-history"),
    ("icm", "invoke-command"),
    ("iex", "invoke-expression"),
    ("ihy", "invoke-history"),
    ("ii", "invoke-item"),
    ("ipal", "import-alias"),
    ("ipcsv", "import-csv"),
    ("ipmo", "import-module"),
    ("irm", "invoke-restmethod"),
    ("iwr", "invoke-webrequest"),
    ("measure", "measure-object"),
    ("mi", "move-item"),
    ("move", "move-item"),
    ("mp", "move-itemproperty"),
    ("nal", "new-alias"),
    ("ndr", "new-psdrive"),
    ("ni", "new-item"),
    ("nmo", "new-module"),
    ("nsn", "new-pssession"),
    ("nv", "new-variable"),
    ("oh", "out-host"),
    ("popd", "pop-location"),
    ("pushd", "push-location"),
    ("pwd", "get-location"),
    ("r", "invoke-history"),
    ("rbp", "remove-psbreakpoint"),
    ("rcjb", "receive-job"),
    ("rd", "remove-item"),
    ("rdr", "remove-psdrive"),
    ("ren", "rename-item"),
    ("ri", "remove-item"),
    ("rjb", "remove-job"),
    ("rmo", "remove-module"),
    ("rni", "rename-item"),
    ("rnp", "rename-itemproperty"),
    ("rp", "remove-itemproperty"),
    ("rsn", "remove-pssession"),
    ("rv", "remove-variable"),
    ("rvpa", "resolve-path"),
    ("sajb", "start-job"),
    ("sal", "set-alias"),
    ("saps", "start-process"),
    ("sbp", "set-psbreakpoint"),
    ("select", "select-object"),
    ("set", "set-variable"),
    ("si", "set-item"),
    ("sl", "set-location"),
    ("sls", "select-string"),
    ("sp", "set-itemproperty"),
    ("spjb", "stop-job"),
    ("spps", "stop-process"),
    ("sv", "set-variable"),
    ("type", "get-content"),
    ("where", "where-object"),
    ("wjb", "wait-job"),
];

/// Aliases that a program takes the place of elsewhere: on Linux and macOS, or in PowerShell 7.
const ALIASES_SOMEWHERE: &[(&str, &str)] = &[
    ("ac", "add-content"),
    ("asnp", "add-pssnapin"),
    ("cat", "get-content"),
    ("clear", "clear-host"),
    ("cnsn", "connect-pssession"),
    ("compare", "compare-object"),
    ("cp", "copy-item"),
    ("cpp", "copy-itemproperty"),
    ("curl", "invoke-webrequest"),
    ("diff", "compare-object"),
    ("dnsn", "disconnect-pssession"),
    ("exec", "switch-process"),
    ("gsv", "get-service"),
    ("gwmi", "get-wmiobject"),
    ("help", "get-help"),
    ("ipsn", "import-pssession"),
    ("iwmi", "invoke-wmimethod"),
    ("kill", "stop-process"),
    ("lp", "out-printer"),
    ("ls", "get-childitem"),
    ("man", "get-help"),
    ("md", "new-item"),
    ("mkdir", "new-item"),
    ("mount", "new-psdrive"),
    ("mv", "move-item"),
    ("ogv", "out-gridview"),
    ("ps", "get-process"),
    ("rm", "remove-item"),
    ("rmdir", "remove-item"),
    ("sasv", "start-service"),
    ("sc", "set-content"),
    ("shcm", "show-command"),
    ("sleep", "start-sleep"),
    ("sort", "sort-object"),
    ("spsv", "stop-service"),
    ("start", "start-process"),
    ("swmi", "set-wmiinstance"),
    ("tee", "tee-object"),
    ("wget", "invoke-webrequest"),
    ("write", "write-output"),
];

/// Verbs and nouns of the cmdlets that come along.
const CMDLETS: &[(&str, &str)] = &[
    ("add", "content history member"),
    ("clear", "content history host item itemproperty recyclebin variable"),
    ("compare", "object"),
    ("compress", "archive"),
    ("convert", "path string"),
    ("convertfrom", "csv json markdown securestring string stringdata sddlstring"),
    ("convertto", "csv html json securestring xml"),
    ("copy", "item itemproperty"),
    ("disable", "psbreakpoint"),
    ("enable", "psbreakpoint"),
    ("exit", "pssession"),
    ("expand", "archive"),
    ("export", "alias clixml csv formatdata"),
    ("foreach", "object"),
    ("format", "custom hex list table wide"),
    (
        "get",
        "acl alias authenticodesignature childitem clipboard cmsmessage command computerinfo \
             content credential culture date error event eventlog eventsubscriber \
             executionpolicy filehash formatdata help history host hotfix item itemproperty \
             itempropertyvalue job location markdownoption member module package packageprovider \
             packagesource pfxcertificate process psbreakpoint pscallstack psdrive \
             pshostprocessinfo psprovider psreadlineoption pssession pssnapin random runspace \
             securerandom service timezone tracesource transaction typedata uiculture unique \
             uptime variable verb wmiobject winevent ciminstance cimclass",
    ),
    ("group", "object"),
    ("import", "clixml csv localizeddata"),
    ("invoke", "restmethod webrequest command expression history item"),
    ("join", "path string"),
    ("limit", "eventlog"),
    ("measure", "command object"),
    ("move", "item itemproperty"),
    ("new", "event guid item itemproperty object psdrive temporaryfile timespan variable"),
    ("out", "default file gridview host null printer string"),
    ("pop", "location"),
    ("protect", "cmsmessage"),
    ("push", "location"),
    ("read", "host"),
    ("receive", "job"),
    (
        "remove",
        "alias event item itemproperty job module psbreakpoint psdrive pssession typedata \
                variable",
    ),
    ("rename", "item itemproperty"),
    ("reset", "computermachinepassword"),
    ("resolve", "path"),
    ("resume", "job service"),
    ("select", "object string xml"),
    ("send", "mailmessage"),
    (
        "set",
        "acl clipboard content culture date executionpolicy item itemproperty location \
             markdownoption psdebug psreadlineoption strictmode timezone variable alias \
             psbreakpoint",
    ),
    ("show", "command markdown"),
    ("sort", "object"),
    ("split", "path"),
    ("start", "process job threadjob sleep transcript"),
    ("stop", "computer job process service transcript"),
    ("suspend", "job service"),
    ("switch", "process"),
    ("tee", "object"),
    ("test", "connection filecatalog json modulemanifest path wsman"),
    ("trace", "command"),
    ("unblock", "file"),
    ("unprotect", "cmsmessage"),
    ("unregister", "event"),
    ("wait", "debugger event job process"),
    ("where", "object"),
    ("write", "debug error eventlog host information output progress verbose warning"),
    // These start what is not read here, or change what others mean: `cmdlets.rs`.
    ("add", "type pssnapin"),
    ("connect", "pssession"),
    ("disconnect", "pssession"),
    ("enter", "pssession pshostprocess"),
    ("import", "alias module pssession packageprovider"),
    ("invoke", "cimmethod wmimethod"),
    ("new", "alias module pssession service ciminstance scheduledtaskaction"),
    (
        "register",
        "cimindicationevent engineevent objectevent wmievent argumentcompleter \
                  scheduledjob scheduledtask",
    ),
    ("restart", "computer service"),
    ("set", "service wmiinstance ciminstance scheduledtask"),
    ("start", "service scheduledtask transaction"),
    ("update", "formatdata help list typedata"),
    ("use", "transaction"),
];

/// Who carries this name out, in lower case, and as which cmdlet.
pub(super) fn who(name: &str) -> (Who, &str) {
    // `Microsoft.PowerShell.Utility/Invoke-Expression`
    let qualified = name.rsplit_once('/').filter(|(module, _)| module.starts_with("microsoft."));
    if let Some((_, own)) = qualified {
        let (_, cmdlet) = who(own);
        return (if cmdlet.is_empty() { Who::Program } else { Who::Either }, cmdlet);
    }
    let find = |list: &'static [(&str, &str)]| {
        list.iter().find(|(alias, _)| *alias == name).map(|(_, cmdlet)| *cmdlet)
    };
    if let Some(cmdlet) = find(ALIASES) {
        return (Who::Shell, cmdlet);
    }
    if let Some(cmdlet) = find(ALIASES_SOMEWHERE) {
        return (Who::Either, cmdlet);
    }
    let is_drive = matches!(name.as_bytes(), [b'a'..=b'z', b':']);
    if is_drive || matches!(name, "cd.." | "cd/" | "cd~" | "prompt" | "pause" | "oss" | "using") {
        return (Who::Shell, "");
    }
    let is_cmdlet = name.split_once('-').is_some_and(|(verb, noun)| {
        CMDLETS.iter().any(|(own, nouns)| {
            *own == verb && nouns.split_ascii_whitespace().any(|own| own == noun)
        })
    });
    if is_cmdlet { (Who::Shell, name) } else { (Who::Program, "") }
}

/// Methods of texts, numbers, dates and lists, which start nothing; in lower case.
pub(super) fn is_harmless_method(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "add",
        "adddays",
        "addhours",
        "addminutes",
        "addmonths",
        "addrange",
        "addseconds",
        "addyears",
        "clear",
        "clone",
        "compareto",
        "contains",
        "containskey",
        "containsvalue",
        "copyto",
        "endswith",
        "equals",
        "foreach",
        "getbytes",
        "getenumerator",
        "gethashcode",
        "getlength",
        "getstring",
        "gettype",
        "indexof",
        "insert",
        "item",
        "lastindexof",
        "normalize",
        "padleft",
        "padright",
        "remove",
        "removeat",
        "replace",
        "reverse",
        "sort",
        "split",
        "startswith",
        "substring",
        "subtract",
        "tochararray",
        "todatetime",
        "tolocaltime",
        "tolower",
        "tolowerinvariant",
        "toshortdatestring",
        "tostring",
        "touniversaltime",
        "toupper",
        "toupperinvariant",
        "trim",
        "trimend",
        "trimstart",
        "trygetvalue",
        "where",
        "append",
        "appendline",
        "toarray",
        "keys",
        "values",
        "last",
        "first",
        "peek",
    ];
    NAMES.contains(&name)
}

/// Types all of whose own methods start nothing; in lower case, as they are written.
pub(super) fn is_harmless_type(written: &str) -> bool {
    const NAMES: &[&str] = &[
        "array",
        "bitconverter",
        "bool",
        "byte",
        "char",
        "console",
        "convert",
        "datetime",
        "datetimeoffset",
        "decimal",
        "double",
        "float",
        "guid",
        "int",
        "int32",
        "int64",
        "io.directory",
        "io.file",
        "io.path",
        "long",
        "math",
        "net.webutility",
        "regex",
        "string",
        "text.encoding",
        "timespan",
        "uri",
        "version",
        "collections.arraylist",
        "xml",
    ];
    let name = written.trim_start_matches('[').trim_end_matches(']').trim();
    let name = name.strip_prefix("system.").unwrap_or(name);
    NAMES.contains(&name) || name.starts_with("collections.generic.")
}
