# Intune remediation, detection script: exit 1 where the policy has not arrived whole.
# Run it in 64-bit PowerShell as SYSTEM; what holds for a user's agents is compliance.ps1's business.
$chaperone = "$env:ProgramW6432\Chaperone\chaperone.exe"
if ($env:CHAPERONE) { $chaperone = $env:CHAPERONE }
if (-not (Test-Path -LiteralPath $chaperone -PathType Leaf)) {
    Write-Output 'Chaperone is not installed.'
    exit 1
}
$status = $null
try { $status = & $chaperone status --json 2>$null | Out-String | ConvertFrom-Json } catch { }
if (-not ($status -and $status.governed)) {
    Write-Output 'chaperone status gave no answer.'
    exit 1
}
if (-not $status.policy) {
    Write-Output 'No policy has arrived.'
    exit 1
}
$bad = @($status.policy.sources | Where-Object { $_.status -ne 'present' })
if ($bad) {
    Write-Output (($bad | ForEach-Object { "$($_.status): $($_.kind) $($_.locator)" }) -join '; ')
    exit 1
}
Write-Output "Policy $($status.policy.revision) is in force, mode $($status.mode)."
exit 0
