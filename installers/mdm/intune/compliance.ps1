# Intune custom compliance on Windows, discovery script: the settings that compliance-rules.json
# judges. Run it in 64-bit PowerShell with the logged-on user's credentials: agents are a user's.
$answer = [ordered]@{
    Governed = 'not installed'; Mode = 'none'; Sources = 'none'; Revision = 'none'; Version = '0.0.0'
}
$chaperone = "$env:ProgramW6432\Chaperone\chaperone.exe"
if ($env:CHAPERONE) { $chaperone = $env:CHAPERONE }
if (Test-Path -LiteralPath $chaperone -PathType Leaf) {
    $answer.Governed = 'unknown'
    $status = $null
    try { $status = & $chaperone status --json 2>$null | Out-String | ConvertFrom-Json } catch { }
    if ($status -and $status.governed) {
        $answer.Governed = $status.governed
        $answer.Mode = $status.mode
        $answer.Version = $status.version
        if ($status.policy) {
            $bad = @($status.policy.sources.status | Where-Object { $_ -ne 'present' } | Sort-Object -Unique)
            $answer.Sources = 'present'
            if ($bad) { $answer.Sources = $bad -join ',' }
            if ($status.policy.revision) { $answer.Revision = $status.policy.revision }
        }
    }
}
$answer | ConvertTo-Json -Compress
